package engine

import (
	"context"
	"errors"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"streamcanary/analysis"
	"streamcanary/decisions"
	"streamcanary/ingest"
)

// stagedRollout is the story's, in three stages.
const stagedRollout = storyRollout + `  stages:
    - {weight: 30, bake: 10s, pass: [errors]}
    - {weight: 30, bake: 10s, pass: [errors]}
    - {weight: 30, bake: 15s, pass: [errors]}
`

// calm is the story of a canary that does no harm.
var calm = strings.Replace(story, "fault    errors canary +8pp from 50s\nexpect   rollback, fail errors\n", "expect   promote, pass errors\n", 1)

// TestReplayWalksStages: a healthy canary goes through all stages, one that fails in the second is rolled back there, however the log is cut.
func TestReplayWalksStages(t *testing.T) {
	r := rolloutOf(t, strings.Replace(stagedRollout, "increase: 0.5pp", "increase: 4pp", 1))
	path := write(t, "calm.ndjson", linesOf(t, calm))
	want := judge(t, r, logs(t, 0, path), ReplayOptions{})
	if have := want.actions(); !slices.Equal(have, []string{"start prepare", "start commit", "advance", "advance", "promote"}) {
		t.Fatalf("decided %v: %s", have, want.Sentence)
	}
	var stages []int
	for _, d := range want.decided {
		stages = append(stages, d.Stage)
	}
	if !slices.Equal(stages, []int{0, 0, 1, 2, 2}) {
		t.Errorf("in stages %v", stages)
	}
	for i, least := range []int64{10_000, 10_000, 15_000} {
		if took := int64(want.decided[i+2].EventTime - want.decided[i+1].EventTime); took < least {
			t.Errorf("stage %d took %d ms, less than its bake", i, took)
		}
	}
	for _, chunk := range []int{1, 5000} {
		if got := judge(t, r, logs(t, chunk, path), ReplayOptions{}); !reflect.DeepEqual(got, want) {
			t.Errorf("chunks of %d: told %v, digest %s, want %v, digest %s", chunk, got.actions(), got.Digest, want.actions(), want.Digest)
		}
	}
	harmed := judge(t, r, logs(t, 0, write(t, "harm.ndjson", linesOf(t, strings.Replace(story, "+8pp from 50s", "+40pp from 15s", 1)))), ReplayOptions{})
	if have := harmed.actions(); !slices.Equal(have, []string{"start prepare", "start commit", "advance", "rollback"}) || harmed.Verdict != analysis.VerdictRollback {
		t.Errorf("decided %v: %s", have, harmed.Sentence)
	}
}

// TestReplayTellsOfItsSplit: where a stage plans another share than the log has, the summary says which, and judges all the same.
func TestReplayTellsOfItsSplit(t *testing.T) {
	path := write(t, "calm.ndjson", linesOf(t, calm))
	staged := strings.Replace(stagedRollout, "increase: 0.5pp", "increase: 4pp", 1)
	want := judge(t, rolloutOf(t, staged), logs(t, 0, path), ReplayOptions{})
	if len(want.Splits) > 0 {
		t.Errorf("as planned: %+v", want.Splits)
	}
	off := judge(t, rolloutOf(t, strings.Replace(staged, "- {weight: 30, bake: 10s", "- {weight: 10, bake: 10s", 1)), logs(t, 0, path), ReplayOptions{})
	if len(off.Splits) != 1 || off.Splits[0].Stage != 1 || off.Splits[0].Planned != .1 || math.Abs(off.Splits[0].Seen-.3) > .03 {
		t.Errorf("the first stage plans 10 %%: %+v", off.Splits)
	}
	if !slices.Equal(off.actions(), want.actions()) {
		t.Errorf("decided %v, want %v", off.actions(), want.actions())
	}
	if some := (splits{{300, 700}}).offPlan(rolloutOf(t, strings.Replace(staged, "weight: 30", "weight: 0", 1))); len(some) > 0 {
		t.Errorf("of a shadow: %+v", some)
	}
}

// TestWalkPastAStage: where a person goes on before routers have followed, the stage that was passed by has no start, and the next one has.
func TestWalkPastAStage(t *testing.T) {
	r := rolloutOf(t, strings.Replace(stagedRollout, "increase: 0.5pp", "increase: 4pp", 1))
	src := logs(t, 20_000, write(t, "calm.ndjson", linesOf(t, calm)))
	p, err := newReplay(r, src, ReplayOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.head.State.Status = decisions.StatusDeleted // nothing is decided by the evidence
	p.head.State.Terms = decisions.TermsOf(r)
	steps := 0
	p.count(t, src, func() {
		for {
			if _, due := p.fold.Next(); !due {
				break
			}
			turns := p.fold.Turns()
			walk := []decisions.StageBegin{{Turn: 10}, {Turn: 20}}
			if turns >= 30 {
				walk[1].FromMs, walk[1].FromTurn = p.fold.ReachedMs(), turns
				if steps++; steps > 1 {
					continue
				}
			}
			if turns >= 20 {
				p.fold.Walk(walk)
			}
		}
	})
	if v := p.fold.verdict; v.Stage != 2 || p.fold.walked != 2 || !p.fold.followed || v.Action != analysis.VerdictPromote {
		t.Errorf("stage %d, %s (%s)", v.Stage, v.Action, v.Sentence)
	}
}

// count counts a log to its end, and calls then after each batch, when what it sealed is there to be judged.
func (p *replay) count(t *testing.T, src ingest.Source, then func()) {
	t.Helper()
	for {
		b, err := src.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Items {
			if err := p.intake.Take(context.Background(), b, i); err != nil {
				t.Fatal(err)
			}
		}
		b.Release()
		if err := p.sealed(); err != nil {
			t.Fatal(err)
		}
		then()
	}
}

// TestObserved: what a replay is judged by plans no weight, and the rollout is left alone.
func TestObserved(t *testing.T) {
	r := rolloutOf(t, stagedRollout)
	if o := observed(r); o.Stages[0].WeightBP != 0 || r.Stages[0].WeightBP != 3000 || o.Stages[2].Bake != r.Stages[2].Bake {
		t.Errorf("stages %+v of %+v", o.Stages, r.Stages)
	}
	shadow := rolloutOf(t, strings.Replace(stagedRollout, "- {weight: 30, bake: 10s", "- {weight: 0, bake: 10s", 1))
	if o := observed(shadow); o.Stages[0].Shadow() {
		t.Errorf("stages %+v", o.Stages)
	}
}
