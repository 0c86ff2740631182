package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"streamcanary/decisions"
	"streamcanary/windows"
)

// absentRun is what a fold told of a log: each change of the verdict, with its event time, and the digest in the end.
type absentRun struct {
	told   []string
	digest string
}

// runAbsent folds a log live, as serve does. The traffic is due 20 s after the log's first window, which is said as soon as a certain event time was reached; early: before anything was read.
func runAbsent(t *testing.T, path string, early bool) absentRun {
	t.Helper()
	r := rolloutOf(t, storyRollout+"  health: {noData: 10s}\n  stages: [{weight: 30, bake: 10s}]\n")
	src := logs(t, 20_000, path)
	p, err := newReplay(r, src, ReplayOptions{})
	if err != nil {
		t.Fatal(err)
	}
	at := src.Partitions()[0]
	plan, partition := PlanOf(r, replayEpoch, earliest), windows.Partition{Topic: at.Topic, Number: at.Number}
	p.fold = NewFold(r, &plan, Sources{Predictions: []windows.Partition{partition}, Samples: []windows.Partition{partition}})
	p.fold.Begin(earliest)
	firstMs := parsedStart(t)
	due := func() { p.fold.Due(firstMs+20_000, true) }
	if early {
		due()
	}
	var run absentRun
	p.count(t, src, func() {
		for {
			turn, is := p.fold.Next()
			if !is {
				break
			}
			if turn.Verdict != nil && (turn.Changed || len(turn.Verdict.Concerns) == 0) {
				run.note(turn.EventMs-firstMs, turn.Verdict)
			}
			if reached := p.fold.ReachedMs(); !early && reached > firstMs+15_000 {
				if reached > firstMs+20_000 {
					t.Fatalf("%d was reached before the traffic was due", reached-firstMs)
				}
				due()
				early = true
			}
		}
	})
	run.digest = p.fold.Digest()
	return run
}

func (r *absentRun) note(atMs int64, v *decisions.Verdict) {
	words := fmt.Sprintf("%s %s unbegun %t", v.Action, v.Reason.Code, v.Unbegun)
	for _, f := range v.Amiss {
		words += " " + f.Code
	}
	if last := len(r.told) - 1; last < 0 || !strings.HasSuffix(r.told[last], words) {
		r.told = append(r.told, fmt.Sprintf("%ds %s", atMs/1000, words))
	}
}

// parsedStart is the start of the story's first window.
func parsedStart(t *testing.T) int64 {
	t.Helper()
	src := logs(t, 0, write(t, "first.ndjson", linesOf(t, story)[:50]))
	b, err := src.Next(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	first := b.Items[0].Event.TimeMs
	for i := range b.Items {
		first = min(first, b.Items[i].Event.TimeMs)
	}
	return first / 1000 * 1000
}

// TestAbsentFold: a canary under another name is told of and rolled back, to the same digest whether its traffic was known to be due from the beginning, as it is after a
// restart, or was said to be on the way.
func TestAbsentFold(t *testing.T) {
	lines := linesOf(t, story)
	for i := range lines {
		lines[i].text = bytes.Replace(lines[i].text, []byte(`"version":"v2"`), []byte(`"version":"v9"`), 1)
	}
	path := write(t, "other-name.ndjson", lines)
	onTheWay, again := runAbsent(t, path, false), runAbsent(t, path, true)
	if !reflect.DeepEqual(onTheWay, again) {
		t.Errorf("told %v, digest %s; folded again %v, digest %s", onTheWay.told, onTheWay.digest, again.told, again.digest)
	}
	if want := []string{"1s continue not_begun unbegun true", "25s continue not_begun unbegun true canary_absent", "30s rollback canary_missing unbegun true canary_absent"}; !reflect.DeepEqual(again.told, want) {
		t.Errorf("told %v, want %v", again.told, want)
	}
}

// TestLateFold: likewise a canary that answers nothing in the first windows in which its traffic is due, and begins then.
func TestLateFold(t *testing.T) {
	lines, firstMs := linesOf(t, calm), parsedStart(t)
	for i := range lines {
		var event struct {
			TimeMs int64 `json:"ts"`
		}
		if err := json.Unmarshal(lines[i].text, &event); err != nil {
			t.Fatal(err)
		}
		if event.TimeMs < firstMs+24_000 {
			lines[i].text = bytes.Replace(lines[i].text, []byte(`"version":"v2"`), []byte(`"version":"v9"`), 1)
		}
	}
	path := write(t, "late.ndjson", lines)
	onTheWay, again := runAbsent(t, path, false), runAbsent(t, path, true)
	if !reflect.DeepEqual(onTheWay, again) {
		t.Errorf("told %v, digest %s; folded again %v, digest %s", onTheWay.told, onTheWay.digest, again.told, again.digest)
	}
	if last := again.told[len(again.told)-1]; !strings.HasSuffix(last, "unbegun false") {
		t.Errorf("told %v: it was to begin", again.told)
	}
}

// slowBy lets all answers of a log say that they took so long.
func slowBy(lines []line, ms int) {
	latency := regexp.MustCompile(`"latency_ms":[0-9.e+-]+`)
	for i := range lines {
		lines[i].text = latency.ReplaceAll(lines[i].text, fmt.Appendf(nil, `"latency_ms":%d`, ms))
	}
}

// TestSlowFold: where answers take seven seconds, silence counts from eight seconds after traffic is due, and the epoch's first windows are those of what was routed before; to the same digest, too.
func TestSlowFold(t *testing.T) {
	never, late := linesOf(t, story), linesOf(t, story)
	slowBy(never, 7000)
	slowBy(late, 7000)
	for i := range never {
		never[i].text = bytes.Replace(never[i].text, []byte(`"version":"v2"`), []byte(`"version":"v9"`), 1)
	}
	path := write(t, "never.ndjson", never)
	onTheWay, again := runAbsent(t, path, false), runAbsent(t, path, true)
	if !reflect.DeepEqual(onTheWay, again) {
		t.Errorf("told %v, digest %s; folded again %v, digest %s", onTheWay.told, onTheWay.digest, again.told, again.digest)
	}
	if want := []string{"1s continue not_begun unbegun true", "33s continue not_begun unbegun true canary_absent", "38s rollback canary_missing unbegun true canary_absent"}; !reflect.DeepEqual(again.told, want) {
		t.Errorf("told %v, want %v", again.told, want)
	}
	path = write(t, "late.ndjson", late)
	if onTheWay, again := runAbsent(t, path, false), runAbsent(t, path, true); !reflect.DeepEqual(onTheWay, again) {
		t.Errorf("of a canary that answers: told %v, digest %s; folded again %v, digest %s", onTheWay.told, onTheWay.digest, again.told, again.digest)
	}
}
