package serve

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"streamcanary/schemas"
)

// hears lets the booth's server note what it is sent.
func (b *booth) hears(into *[]string) {
	b.answer = func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*into = append(*into, string(body))
	}
}

// rounds wants so many requests in a round of a repeater.
func (b *booth) rounds(name string, r *repeater, sent *[]string, want int) {
	b.Helper()
	*sent = nil
	if err := r.round(b.Context()); err != nil || len(*sent) != want {
		b.Errorf("%s: %d requests, want %d: %v", name, len(*sent), want, err)
	}
}

// appliesAnew changes the rollout's file in the record; "": to what can't be read.
func (b *booth) appliesAnew(rollout string) {
	b.Helper()
	head, revision, err := b.bus.LoadHead(b.Context(), "story")
	if err != nil {
		b.Fatal(err)
	}
	a := Application{ID: "1", File: "r", YAML: rollout}
	if head.Applied, err = a.Encode(); err == nil && rollout == "" {
		head.Applied = []byte(`{}`)
	}
	if err == nil {
		_, err = b.bus.SaveHead(b.Context(), head, revision)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// TestRepeats: what stands by the log is told again, whoever has told it first, and what its rollout no longer wants told isn't.
func TestRepeats(t *testing.T) {
	inBooth(t, "am", false, func(b *booth) {
		var sent []string
		b.hears(&sent)
		r := &repeater{sink: b.sink}
		b.rounds("nothing stands", r, &sent, 0)
		b.rollsBack()
		b.rounds("a rollback stands", r, &sent, 1)
		if len(sent) > 0 && (strings.Count(sent[0], "startsAt") != 1 || !strings.Contains(sent[0], `"id":"story.1.3"`)) {
			b.Errorf("sent %s", sent[0])
		}
		b.rounds("it stands still", r, &sent, 1)
		b.rounds("a process that has only just begun knows it, too", &repeater{sink: b.sink}, &sent, 1)
		b.appliesAnew(strings.Replace(boothRollout, "{name: story}", "{name: story, labels: {team: feed}}", 1))
		for what, x := range map[string]*repeater{"its file has a label by now": r, "a process that has only just begun": {sink: b.sink}} {
			if b.rounds(what, x, &sent, 1); len(sent) > 0 && strings.Contains(sent[0], "feed") {
				b.Errorf("%s: another alert was sent: %s", what, sent[0])
			}
		}
		b.appliesAnew(strings.Replace(boothRollout, "    - {alertmanager: am}\n", "", 1))
		b.rounds("nobody wants it there", r, &sent, 0)
		b.appliesAnew("")
		b.rounds("it can't be read", &repeater{sink: b.sink}, &sent, 0)
		b.appliesAnew(boothRollout)
		b.rounds("a process that begins then", &repeater{sink: b.sink}, &sent, 1)
		stranger, err := schemas.NewSigningKey(strings.NewReader(strings.Repeat("s", 32)))
		if err != nil {
			b.Fatal(err)
		}
		own := b.sink.trust
		b.sink.trust = schemas.NewTrust(stranger.Public())
		b.rounds("a key that nobody knows", &repeater{sink: b.sink}, &sent, 0)
		b.sink.trust = own
		r = &repeater{sink: b.sink}
		b.rounds("its record is there", r, &sent, 1)
		_, revision, err := b.bus.LoadHead(b.Context(), "story")
		if err == nil {
			err = b.bus.DeleteHead(b.Context(), "story", revision)
		}
		if err != nil {
			b.Fatal(err)
		}
		b.rounds("its record is gone", r, &sent, 0)
	})
	inBooth(t, "am", true, func(b *booth) {
		b.rollsBack()
		if b.sink.actuator.Repeats() {
			b.Error("a dry run repeats")
		}
	})
}

// TestRepeatsSayWhatFails: once, until it is over.
func TestRepeatsSayWhatFails(t *testing.T) {
	inBooth(t, "am", false, func(b *booth) {
		b.rollsBack()
		var works atomic.Bool
		b.answer = func(w http.ResponseWriter, r *http.Request) {
			if !works.Load() {
				status(http.StatusServiceUnavailable)(w, r)
			}
		}
		ctx, stop := context.WithCancel(b.Context())
		var running sync.WaitGroup
		running.Go(func() { (&repeater{sink: b.sink}).run(ctx) })
		time.Sleep(repeatFirst + time.Second)
		works.Store(true)
		time.Sleep(3 * repeatEvery)
		stop()
		running.Wait()
		const fails, again = "what stands can't be told to this sink again", "what stands is told to this sink again"
		if log := b.log.String(); strings.Count(log, fails) != 1 || strings.Count(log, again) != 1 || !strings.Contains(log, "the server answers 503") || b.asked != 4 {
			b.Errorf("after %d requests: %s", b.asked, log)
		}
	})
}
