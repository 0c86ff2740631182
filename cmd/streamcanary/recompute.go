package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"streamcanary/cmd/serve"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

const (
	// publishWithin is how long a decision that the journal leads to may take to get into the log.
	publishWithin = 5 * time.Second
	// maxShown is of how many decisions the differences are shown, maxPlaces how many of one.
	maxShown  = 10
	maxPlaces = 30
	// maxText bounds a value that is shown to people, in bytes.
	maxText = 300
)

// A recomputation computes the decisions of a log again, and tells what isn't the same.
type recomputation struct {
	c           *console
	bus         *bus.Bus
	keys        schemas.Trust
	model       string                    // "": all
	sums        map[string]string         // of the bodies that are held against the journal, by id
	known       func(*serve.Finding) bool // whether a trusted key has signed what a finding is about
	wrong       int                       // findings that say that something isn't as it should be
	shown       int
	unpublished []serve.Finding
	counts      serve.Recomputed
	done        bool // all of the log was computed: counts are of it
}

// run computes a log again from the window journal, and prints what isn't the same.
func (x *recomputation) run(ctx context.Context, r *reach, log []serve.Published) error {
	brokers, config, err := r.brokers(x.c)
	if err != nil {
		return err
	}
	journal, err := serve.OpenJournal(ctx, &config.Kafka, brokers)
	if err != nil {
		return err
	}
	defer journal.Close()
	for i := range log {
		x.sums[log[i].ID] = log[i].Sha256
	}
	x.counts, err = serve.Recompute(ctx, journal, log, func(f serve.Finding) error { return x.found(ctx, f) })
	if err == nil {
		err = x.neverPublished(ctx)
	}
	x.done = err == nil
	switch {
	case err != nil:
		return err
	case x.wrong > 0:
		return fmt.Errorf("the decision log isn't what the window journal leads to (findings above: %d)", x.wrong)
	case x.counts.Same == 0 && x.counts.Gone > 0:
		return errors.New("no decision could be computed again: the window journal hasn't got what they stand on any more")
	}
	return nil
}

// found tells a finding; of a decision that is missing in the log, only at the end: it may still be on its way. That the journal doesn't lead to what nobody has signed is no
// finding of its own.
func (x *recomputation) found(ctx context.Context, f serve.Finding) error {
	if (f.Kind == serve.FindingUnfounded || f.Kind == serve.FindingBefore) && !x.known(&f) {
		return nil
	}
	if x.model != "" && f.Model != "" && f.Model != x.model {
		return nil
	}
	if f.Kind == serve.FindingUnpublished {
		x.unpublished = append(x.unpublished, f)
		return nil
	}
	if !f.Kind.Unreached() {
		x.wrong++
	}
	return x.print(ctx, &f)
}

// neverPublished tells of decisions that the log still hasn't got after a while.
func (x *recomputation) neverPublished(ctx context.Context) error {
	if len(x.unpublished) == 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(publishWithin):
	}
	since, epochs := map[string]bool{}, map[string]bool{}
	err := x.bus.Log(ctx, bus.LogQuery{}, func(l bus.Logged) error {
		if l.Verify(x.keys) == nil {
			since[l.Decision.ID], epochs[modelEpoch(l.Model, l.Decision.Epoch)] = true, true
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range x.unpublished {
		f := &x.unpublished[i]
		if since[f.ID] || f.ID == "" && epochs[modelEpoch(f.Model, f.Epoch)] {
			continue // taken meanwhile: the next call looks at it
		}
		x.wrong++
		if err := x.print(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

func modelEpoch(model string, epoch int64) string { return fmt.Sprint(epoch, " of ", model) }

// aFinding is a finding as --json prints it.
type aFinding struct {
	Type        string            `json:"type"` // finding
	Kind        serve.FindingKind `json:"kind"`
	Message     uint64            `json:"message,omitempty"` // its number in the stream, of what is wrong with a message itself
	Rollout     string            `json:"rollout"`
	Epoch       int64             `json:"epoch"`
	Decision    string            `json:"decision,omitempty"` // none: of the whole epoch
	Why         string            `json:"why"`
	Differences []difference      `json:"differences,omitempty"` // at most 30, and of the first 10 decisions only
	BegunBy     string            `json:"begun_by,omitempty"`    // the program that began the epoch, where it is another one than this
	Program     string            `json:"program,omitempty"`     // this one, where the two differ
	Sha256      string            `json:"sha256,omitempty"`      // of its bytes, where it is foreign
	Known       bool              `json:"known,omitempty"`       // by the file of --known: it isn't counted
	Note        string            `json:"note,omitempty"`        // of that file
}

func (x *recomputation) print(ctx context.Context, f *serve.Finding) error {
	told := aFinding{Type: "finding", Kind: f.Kind, Rollout: f.Rollout, Epoch: f.Epoch, Decision: f.ID, Why: f.Why}
	if f.Kind == serve.FindingDiffers && x.shown < maxShown {
		x.shown++
		published, err := x.bus.Find(ctx, f.ID, func(l *bus.Logged) bool { return decisions.BodySha256(l.Signed.Body) == x.sums[f.ID] })
		if err != nil {
			return err
		}
		if told.Differences, err = differences(published.Signed.Body, f.Computed); err != nil {
			return fmt.Errorf("decision %s: %w", f.ID, err)
		}
	}
	if !f.Kind.Unreached() && f.Program != "" && f.Program != program() {
		told.BegunBy, told.Program = f.Program, program()
	}
	return told.tell(x.c)
}

// tell prints a finding.
func (f *aFinding) tell(c *console) error {
	if c.json {
		f.Differences = f.Differences[:min(len(f.Differences), maxPlaces)]
		return json.NewEncoder(c.out).Encode(f)
	}
	return writeFinding(c.out, f)
}

// verdicts are the kinds of findings, for people.
var verdicts = map[serve.FindingKind]string{
	serve.FindingGone: "can't be computed again", serve.FindingBefore: "is older than the window journal", serve.FindingDiffers: "DIFFERS", serve.FindingUnfounded: "UNFOUNDED",
	serve.FindingUnpublished: "NOT IN THE LOG", serve.FindingClock: "ITS TIME IS WRONG", serve.FindingTwice: "BEGAN TWICE",
	findingUnsigned: "BAD SIGNATURE", findingNoDecision: "NO DECISION", findingChain: "OUT OF ITS CHAIN", findingCopy: "A COPY",
	findingBeginning: "ITS BEGINNING IS MISSING", findingBegins: "begins here",
}

// writeFinding tells a finding to people.
func writeFinding(w io.Writer, f *aFinding) error {
	what := "decision " + schemas.Readable(f.Decision)
	switch {
	case f.Message > 0 && f.Decision == "":
		what = fmt.Sprintf("message %d", f.Message)
	case f.Message > 0:
		what = fmt.Sprintf("message %d, decision %s", f.Message, schemas.Readable(f.Decision))
	case f.Decision == "":
		what = fmt.Sprintf("rollout %s, epoch %d", schemas.Readable(f.Rollout), f.Epoch)
	}
	err := result(w, "%s: %s: %s\n", what, f.verdict(f.Kind), f.Why)
	if f.Sha256 != "" && !f.Known && err == nil {
		_, err = fmt.Fprintf(w, "    for --known, once it is looked into: %d %s\n", f.Message, f.Sha256)
	}
	for i, d := range f.Differences {
		if i == maxPlaces {
			_, err = fmt.Fprintf(w, "    and %d more places\n", len(f.Differences)-i)
			break
		}
		_, err = fmt.Fprintf(w, "    %s\n        published %s\n        computed  %s\n", schemas.Readable(cmp.Or(d.Path, "the same fields in other bytes")), shownJSON(d.Published), shownJSON(d.Computed))
	}
	if f.BegunBy != "" && err == nil {
		_, err = fmt.Fprintf(w, "    the epoch was begun by %q, and this is %q: it may be the version that differs; verify with that one to know\n", f.BegunBy, f.Program)
	}
	return err
}

// verdict is a kind of finding, for people.
func (f *aFinding) verdict(kind serve.FindingKind) string {
	if f.Known {
		return verdicts[kind] + ", known" + inBrackets(f.Note)
	}
	return verdicts[kind]
}

func inBrackets(note string) string {
	if note == "" {
		return ""
	}
	return fmt.Sprintf(" (%s)", note)
}

// shownJSON is a value for people.
func shownJSON(text json.RawMessage) string {
	switch {
	case text == nil:
		return "-"
	case len(text) > maxText:
		return fmt.Sprintf("%s… (%d bytes)", readableJSON(text[:maxText]), len(text))
	}
	return readableJSON(text)
}
