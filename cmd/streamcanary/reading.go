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

// A reading prints the decision log, and marks what no trusted key has signed.
type reading struct {
	c         *console
	keys      schemas.Trust
	unchecked bool // no trusted keys are known here
	some      bool
	bad       int
}

// readingOf reads the trusted keys: of the file that was named, else of the serve that has left one.
func readingOf(c *console, named, left string) (*reading, error) {
	x := &reading{c: c}
	path := cmp.Or(named, left)
	if _, err := os.Stat(path); named == "" && errors.Is(err, fs.ErrNotExist) {
		x.unchecked = true
		fmt.Fprintln(c.err, "signatures are not checked, since no trusted keys are known here: name their file with --trust FILE")
		return x, nil
	}
	var err error
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
	why := x.refused(l)
	if why == nil {
		return printLogged(x.c, l)
	}
	x.bad++
	return printRefused(x.c, l, why)
}

// end is the error that says how many were marked.
func (x *reading) end() error {
	if x.bad == 0 {
		return nil
	}
	return fmt.Errorf("no trusted key has signed what is marked above (messages: %d): nobody obeys it; look who may publish to %s (the NATS permissions); --trust FILE names other keys", x.bad, schemas.AllDecisions)
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
	Body     []byte            `json:"body"` // base64
}

func printRefused(c *console, l *bus.Logged, why error) error {
	told := aRefused{Type: "refused", Kind: wrongWith(l), Message: l.Sequence, At: schemas.Time(l.At.UnixMilli()), Model: l.Model, Why: why.Error(), Body: l.Signed.Body}
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
	err := result(c.out, "%s  %s  message %d of model %s: nobody obeys it: %v\n", told.At, verdicts[told.Kind], l.Sequence, l.Model, why)
	if err == nil {
		_, err = fmt.Fprint(c.out, says)
	}
	return err
}

// wrongWith is what is wrong with a message that nobody obeys.
func wrongWith(l *bus.Logged) serve.FindingKind {
	if l.Malformed != nil {
		return findingNoDecision
	}
	return findingUnsigned
}
