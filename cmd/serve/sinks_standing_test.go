package serve

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// rollsBackUnrecorded publishes a rollback of which the record knows nothing, so that nothing stands by that.
func (b *booth) rollsBackUnrecorded() {
	b.Helper()
	running := b.head
	b.rollsBack()
	_, revision, err := b.bus.LoadHead(b.Context(), "story")
	if err == nil {
		_, err = b.bus.SaveHead(b.Context(), running, revision)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// TestSinksLeaveWhatIsOver: where what ends it waits behind a rollback, nobody is woken for that; a forged end, or another rollout's, ends nothing. The sink is asked in any case, so that what is said of
// it stays true.
func TestSinksLeaveWhatIsOver(t *testing.T) {
	inBooth(t, "am", false, func(b *booth) {
		b.rollsBackUnrecorded()
		var sent []string
		b.hears(&sent)
		sends := func(what string, fires bool, behind ...bus.Told) {
			sent, b.sink.done = nil, nil
			told, words := b.told("story.1.3", 1), "nobody is woken for this any more"
			if told.Behind = behind; fires {
				words = ""
			}
			b.takes(what, told, 0, words)
			if len(sent) != 1 || strings.Contains(sent[0], `"endsAt":"1970-01-02`) != fires {
				b.Errorf("%s: it is to fire: %t; sent %s", what, fires, sent)
			}
		}
		end := b.told("story.1.2", 1) // that an epoch begins ends what was before
		sends("nothing ends it", true, b.told("story.1.1", 1))
		sends("it is over", false, b.told("story.1.1", 1), end)
		forged := end
		forged.Signed.Signature = nil
		sends("a forged end", true, forged)
		other := *end.Decision
		other.Rollout = "another"
		end.Decision = &other
		sends("another rollout's end", true, end)
		done := bus.Told{Notice: &schemas.Notice{ID: "n", Kind: schemas.NoticeRollbackCompleted, Model: "ranker", Rollout: "story", Waiting: []string{string(decisions.StepAlert) + "-am"}}}
		sends("all is done but that people are told here", false, done)
		for kind, may := range map[schemas.NoticeKind]bool{schemas.NoticeSinkDone: true, schemas.NoticeAcksComplete: false} {
			part := bus.Told{Notice: &schemas.Notice{ID: "n", Kind: kind, Model: "ranker", Rollout: "story", Waiting: []string{"verify"}}}
			if b.sink.mayEnd(&part) != may {
				b.Errorf("%s, and the canary has not drained: it ends something: %t", kind, !may)
			}
		}
	})
}

// TestSinksEndInSpiteOfForgeries: a forged rollback that passed an end while that couldn't be told keeps no incident open; a real one does.
func TestSinksEndInSpiteOfForgeries(t *testing.T) {
	inBooth(t, "am", false, func(b *booth) {
		b.rollsBackUnrecorded()
		var sent []string
		b.hears(&sent)
		forged := b.told("story.1.3", 1)
		forged.Signed.Signature = nil
		for ends, passed := range map[bool]bus.Told{true: forged, false: b.told("story.1.3", 1)} {
			sent, b.sink.done = nil, nil
			end := b.told("story.1.2", 2)
			end.Passed = []bus.Told{passed}
			b.takes("an end", end, 0, "")
			if len(sent) != 1 || strings.Contains(sent[0], schemas.OwnAlert+`","model":"ranker","rollout":"story","severity":"critical"`) != ends {
				b.Errorf("it is to end the alert: %t; sent %s", ends, sent)
			}
		}
	})
}

// suspectsAndRollsBack publishes that a guardrail is suspect, and a rollback right behind it, as where windows come in a batch.
func (b *booth) suspectsAndRollsBack() {
	b.Helper()
	head, _, err := b.head.Take(decisions.Input{Kind: decisions.InputVerdict, EventMs: 2500, WallMs: 2500, Verdict: &decisions.Verdict{Action: decisions.VerdictContinue,
		Concerns: []decisions.Concern{{Guardrail: "errors", State: schemas.StateSuspect, Sentence: "It is suspect."}}}})
	if err != nil {
		b.Fatal(err)
	}
	b.head = head
	b.rollsBack()
}

// TestSinksKeepWhatStandsBeforeARollback: what is told with a rollback and stands before it is told before it, so that the rollback's incident takes the place of the warning. Where it fails, the rollback goes
// first, and the warning isn't raised any more.
func TestSinksKeepWhatStandsBeforeARollback(t *testing.T) {
	for _, test := range []struct {
		sink  string
		fails bool
		want  string
	}{
		{"am", false, "suspect fires, rollback fires"},
		{"am", true, "rollback fires, suspect is over"},
		{"slack", false, "suspect, rollback"},
		{"slack", true, "rollback, suspect"},
	} {
		inBooth(t, test.sink, false, func(b *booth) {
			var told []string
			began := time.Now()
			b.answer = func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				text := "rollback"
				if strings.Contains(string(body), "It is suspect") {
					text = "suspect"
				}
				switch {
				case text == "suspect" && test.fails && time.Since(began) < 30*time.Second:
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				case test.sink == "am" && strings.Contains(string(body), `"endsAt":"1970-01-02`):
					text += " fires"
				case test.sink == "am":
					text += " is over"
				}
				told = append(told, text)
				if test.sink == "slack" {
					_, _ = w.Write([]byte("ok"))
				}
			}
			ctx, stop := context.WithTimeout(b.Context(), 59*time.Second)
			defer stop()
			b.suspectsAndRollsBack()
			b.bus.Tell(ctx, b.sink.query(), b.sink.take) // all that run does, without what is sent again each minute
			if got := strings.Join(told, ", "); got != test.want {
				b.Errorf("%s, failing: %t: told %q, want %q", test.sink, test.fails, got, test.want)
			}
		})
	}
}
