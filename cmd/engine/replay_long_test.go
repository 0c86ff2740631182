package engine

import (
	"bytes"
	"context"
	"reflect"
	"slices"
	"testing"
	"time"

	"streamcanary/analysis"
	"streamcanary/ingest"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// A long, thin log of predictions alone, for a rollout that also asks for outcomes and samples.
const thinStory = `# a night without clicks and readings
model    ranker
baseline version v1
canary   version v2
for      5h
seed     3
rate     2/s
split    50%
latency  lognormal 40ms sigma 0.5
errors   0.5%
fault    errors canary +60pp from 30m
expect   rollback, fail errors
`

// progressOf is how far a log had been read when something was seen.
type progressOf struct {
	decidedMs int64 // event time read when the rollback was decided
	buffered  int   // windows waiting, at most
}

func watch(t *testing.T, src *ingest.Logs, o ReplayOptions) (progressOf, Summary) {
	t.Helper()
	var seen progressOf
	o.Decided = func(d schemas.Decision, _ bool) {
		if d.Action == schemas.ActionRollback {
			seen.decidedMs = src.Progress().ReachedMs
		}
	}
	o.Judged = func(f *Fold) { seen.buffered = max(seen.buffered, f.MergerStats().Buffered) }
	got, err := Replay(context.Background(), rolloutOf(t, storyRollout), src, o)
	if err != nil {
		t.Fatal(err)
	}
	return seen, got
}

// TestReplayDoesNotWaitForWhatNeverComes: a log without outcomes and samples is judged while it is read, not at its end.
func TestReplayDoesNotWaitForWhatNeverComes(t *testing.T) {
	lines := linesOf(t, thinStory)
	src := logs(t, 64<<10, write(t, "log.ndjson", lines)).(*ingest.Logs)
	seen, got := watch(t, src, ReplayOptions{Continue: true})
	began := int64(got.First)
	if got.Verdict != analysis.VerdictRollback || got.Forced != 0 {
		t.Fatalf("verdict %s (%s), %d windows forced", got.Verdict, got.Sentence, got.Forced)
	}
	if after := time.Duration(seen.decidedMs-began) * time.Millisecond; after < 85*time.Minute || after > 2*time.Hour {
		t.Errorf("the rollback of what began after 30m was told when %s were read, want an hour and the windows of a batch later", after)
	}
	if limit := 2 * 3600; seen.buffered > limit {
		t.Errorf("%d windows waited, want %d at most", seen.buffered, limit)
	}
}

// TestReplayOfRotatedFiles: a log that was cut by time into files, given in any order, is judged as if it were one, and none of the files keeps the windows of the others waiting once it has ended.
func TestReplayOfRotatedFiles(t *testing.T) {
	lines := linesOf(t, thinStory)
	_, want := watch(t, logs(t, 64<<10, write(t, "log.ndjson", lines)).(*ingest.Logs), ReplayOptions{Continue: true})
	var paths []string
	for part := range slices.Chunk(lines, len(lines)/3+1) {
		paths = append(paths, write(t, "part.ndjson", part))
	}
	for _, chunk := range []int{5_000, 64 << 10} {
		slices.Reverse(paths)
		seen, got := watch(t, logs(t, chunk, paths...).(*ingest.Logs), ReplayOptions{Continue: true})
		if !reflect.DeepEqual(got, want) {
			t.Errorf("chunks of %d: digest %s, counts %v\nwant %s, %v", chunk, got.Digest, got.Counts, want.Digest, want.Counts)
		}
		if limit := 2 * 3600; seen.buffered > limit {
			t.Errorf("%d windows waited, want %d at most", seen.buffered, limit)
		}
	}
}

// A log so sparse that a part of it has hours between its events.
const sparseStory = `# two equal versions that hardly anybody asks
model    ranker
baseline version v1
canary   version v2
for      60h
seed     5
rate     0.01/s
split    50%
latency  lognormal 40ms sigma 0.5
outcome  click 20% after exponential 3s
expect   no-rollback
`

// TestReplayOfSparseParts: a sparse log that is split by id or by kind loses nothing, and is judged as if it were whole.
func TestReplayOfSparseParts(t *testing.T) {
	lines := linesOf(t, sparseStory)
	r := rolloutOf(t, storyRollout)
	want := judge(t, r, logs(t, 0, write(t, "whole.ndjson", lines)), ReplayOptions{Seal: true})
	if n := want.Counts.Of(schemas.KindOutcome, windows.Matched); n < 300 {
		t.Fatalf("%d outcomes are matched: the log is too short to show anything", n)
	}
	for name, parts := range map[string][][]line{"by id": split(lines, 64), "by kind": splitKinds(lines)} {
		var paths []string
		for _, part := range parts {
			paths = append(paths, write(t, "part.ndjson", part))
		}
		if got := judge(t, r, logs(t, 0, paths...), ReplayOptions{Seal: true}); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: told %v, digest %s, counts %v\nwant %v, digest %s, counts %v", name, got.actions(), got.Digest, got.Counts,
				want.actions(), want.Digest, want.Counts)
		}
	}
}

// splitKinds deals lines into a file for each kind of event.
func splitKinds(lines []line) [][]line {
	dealt := make([][]line, 3)
	for _, l := range lines {
		kind := 0
		switch {
		case bytes.Contains(l.text, []byte(`"type":"outcome"`)):
			kind = 1
		case bytes.Contains(l.text, []byte(`"type":"sample"`)):
			kind = 2
		}
		dealt[kind] = append(dealt[kind], l)
	}
	return dealt
}
