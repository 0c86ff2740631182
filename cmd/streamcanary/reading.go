package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"streamcanary/cmd/serve"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// trustFlag adds the flag that says whose decisions count.
func trustFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "trust", "", "the `FILE` of trusted keys; otherwise that of the serve on the data folder")
}

// What is wrong with a message of the decision log.
const (
	findingUnsigned   serve.FindingKind = "bad_signature" // no trusted key has signed it
	findingNoDecision serve.FindingKind = "no_decision"
	findingChain      serve.FindingKind = "chain" // it doesn't follow the one before it
	findingCopy       serve.FindingKind = "copy"  // of one before it
	findingBeginning  serve.FindingKind = "beginning_lost"
	findingBegins     serve.FindingKind = "begins_later" // as NATS removes what is old: it isn't wrong
)

// A reading prints the decision log, and marks what nobody obeys: what no trusted key has signed, copies, and what isn't newer than what stood there before.
type reading struct {
	c         *console
	keys      schemas.Trust
	known     acknowledged
	before    passed
	unchecked bool // no trusted keys are known here
	some      bool
	bad       int
	stale     bool // among the bad is what a trusted key has signed
}

// readingOf reads the messages that are known, and the trusted keys: of the file that was named, else of the serve that has left one.
func readingOf(c *console, named, left, known string) (*reading, error) {
	x := &reading{c: c}
	var err error
	if x.known, err = readKnown(known); err != nil {
		return x, err
	}
	path := cmp.Or(named, left)
	if _, err := os.Stat(path); named == "" && errors.Is(err, fs.ErrNotExist) {
		x.unchecked = true
		fmt.Fprintln(c.err, "signatures are not checked, since no trusted keys are known here: name their file with --trust FILE")
		return x, nil
	}
	x.keys, err = readTrust(path)
	return x, err
}

// refused says why nobody obeys a message; nil: it is a decision, and signed as far as that is known.
func (x *reading) refused(l *bus.Logged) error {
	if x.unchecked {
		return l.Malformed
	}
	return l.Verify(x.keys)
}

// take prints one message.
func (x *reading) take(l *bus.Logged) error {
	x.some = true
	kind, why := wrongWith(l), x.refused(l)
	if why == nil {
		kind, why = x.before.take(l, !x.unchecked)
	}
	if why == nil {
		return printLogged(x.c, l)
	}
	f := aFinding{Kind: kind, Why: why.Error()}
	if kind == findingChain || !x.known.take(&f, l) { // as for verify: what a trusted key has signed can't be known, but for a copy
		x.bad++
		x.stale = x.stale || kind == findingChain || kind == findingCopy
	}
	return printRefused(x.c, l, &f)
}

// end is the error that says how many were marked.
func (x *reading) end() error {
	beside := ""
	if text := x.known.text(); text != "" {
		fmt.Fprintln(x.c.err, text)
		beside = ", beside those that are known"
	}
	if x.bad == 0 {
		return nil
	}
	if x.stale {
		return fmt.Errorf("nobody obeys what is marked above (messages%s: %d): no trusted key has signed it, or it is no newer than what stood in the log before it; look who may publish to %s (the NATS permissions)", beside, x.bad, schemas.AllDecisions)
	}
	return fmt.Errorf("no trusted key has signed what is marked above (messages%s: %d): nobody obeys it; look who may publish to %s (the NATS permissions); --trust FILE names other keys", beside, x.bad, schemas.AllDecisions)
}

// aRefused is a message that nobody obeys, as --json prints it.
type aRefused struct {
	Type     string            `json:"type"` // refused
	Kind     serve.FindingKind `json:"kind"`
	Message  uint64            `json:"message"` // its number in the stream
	At       schemas.Time      `json:"at"`      // when it was stored
	Model    string            `json:"model"`   // by its subject
	Decision string            `json:"decision,omitempty"`
	Why      string            `json:"why"`
	Body     []byte            `json:"body"`            // base64
	Known    bool              `json:"known,omitempty"` // by the file of --known: it isn't counted
	Note     string            `json:"note,omitempty"`  // of that file
}

// printRefused prints a message that nobody obeys; a finding says why, and whether it is known.
func printRefused(c *console, l *bus.Logged, f *aFinding) error {
	told := aRefused{Type: "refused", Kind: f.Kind, Message: l.Sequence, At: schemas.Time(l.At.UnixMilli()), Model: l.Model, Why: f.Why, Body: l.Signed.Body, Known: f.Known, Note: f.Note}
	if l.Decision != nil {
		told.Decision = l.Decision.ID
	}
	if c.json {
		return json.NewEncoder(c.out).Encode(&told)
	}
	says := ""
	if d := l.Decision; d != nil {
		says = fmt.Sprintf("    it says that it is %s: %s %d.%d, %s\n", schemas.Readable(d.ID), schemas.Readable(d.Model), d.Epoch, d.Seq, schemas.Readable(string(d.Action)))
	}
	err := result(c.out, "%s  %s  message %d of model %s: nobody obeys it: %s\n", told.At, f.verdict(told.Kind), l.Sequence, l.Model, f.Why)
	if err == nil {
		_, err = fmt.Fprint(c.out, says)
	}
	return err
}

// wrongWith is what is wrong with a message that no trusted key has signed.
func wrongWith(l *bus.Logged) serve.FindingKind {
	if l.Malformed != nil {
		return findingNoDecision
	}
	return findingUnsigned
}
