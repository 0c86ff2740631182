package engine

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"streamcanary/analysis"
	"streamcanary/ingest"
	"streamcanary/loadgen"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// The story of these tests: a canary that begins to fail after half of its time, told by a transport that is late, repeats itself
// and cuts off. The quiet one is the same told in order, so that nothing is late.
const (
	story = `# A canary that begins to fail
model    ranker
baseline version v1
canary   version v2
for      100s
seed     11
rate     200/s
split    30%
users    2000
latency  lognormal 40ms sigma 0.5
errors   0.5%
outcome  click 10% after exponential 3s
sample   cpu 50% every 5s noise 4%
hosts    3
fault    errors canary +8pp from 50s
expect   rollback, fail errors
`
	noise = "transport delay exponential 50ms, late 1% by exponential 8s, duplicates 2% after exponential 2s, broken 0.2%\n"

	storyRollout = `apiVersion: streamcanary.dev/v1
kind: Rollout
metadata: {name: story}
spec:
  model: ranker
  baseline: {version: v1}
  canary: {version: v2}
  outcomes: {click: {within: 10s}}
  guardrails:
    - {name: errors, rate: error, increase: 0.5pp, weight: 3}
    - {name: p99, quantile: 0.99, of: latency, increase: 20%}
    - {name: cpu, sample: cpu, limit: 0.9, increase: 5pp, on: hold}
    - {name: ctr, rate: click, decrease: 2%, prove: any, required: false}
`
)

// A line is one record of a log.
type line struct{ key, text []byte }

// linesOf makes the whole log of a scenario.
func linesOf(t testing.TB, scenario string) []line {
	t.Helper()
	s, err := loadgen.Parse("story.txt", scenario)
	if err != nil {
		t.Fatal(err)
	}
	var lines []line
	var r loadgen.Record
	for g := loadgen.New(s, 0); g.Next(&r); {
		lines = append(lines, line{bytes.Clone(r.Key()), r.AppendJSON(nil)})
	}
	return lines
}

func rolloutOf(t testing.TB, text string) *schemas.Rollout {
	t.Helper()
	r, err := schemas.ParseRollout("rollout.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// write makes a file of lines; one that ends in .gz is compressed.
func write(t testing.TB, name string, lines []line) string {
	t.Helper()
	var text bytes.Buffer
	for _, l := range lines {
		text.Write(l.text)
		text.WriteByte('\n')
	}
	if strings.HasSuffix(name, ".gz") {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, _ = z.Write(text.Bytes()) // into memory: it can't fail
		z.Close()
		text = packed
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// logs opens files.
func logs(t testing.TB, chunk int, paths ...string) ingest.Source {
	t.Helper()
	src, err := ingest.OpenLogs(paths, ingest.LogOptions{ChunkBytes: chunk})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src
}

// A judged is all that a replay told.
type judged struct {
	Summary
	decided []told
}

type told struct {
	schemas.Decision
	counterfactual bool
}

// judge replays a source to its end.
func judge(t testing.TB, r *schemas.Rollout, src ingest.Source, o ReplayOptions) judged {
	t.Helper()
	var j judged
	o.Decided = func(d schemas.Decision, was bool) { j.decided = append(j.decided, told{d, was}) }
	var err error
	if j.Summary, err = Replay(context.Background(), r, src, o); err != nil {
		t.Fatal(err)
	}
	return j
}

// actions is what was decided, in short.
func (j *judged) actions() []string {
	var list []string
	for _, d := range j.decided {
		text := string(d.Action)
		if d.Phase != "" {
			text += " " + string(d.Phase)
		}
		if d.counterfactual {
			text += " counterfactual"
		}
		list = append(list, text)
	}
	return list
}

// TestReplayTellsTheSame reads one log in many ways that must not matter: everything told is the same, to the last bit.
func TestReplayTellsTheSame(t *testing.T) {
	lines := linesOf(t, story+noise)
	r := rolloutOf(t, storyRollout)
	plain, packed := write(t, "log.ndjson", lines), write(t, "log.ndjson.gz", lines)
	want := judge(t, r, logs(t, 0, plain), ReplayOptions{})
	if want.Verdict != analysis.VerdictRollback {
		t.Fatalf("verdict %s (%s), want rollback", want.Verdict, want.Sentence)
	}
	for _, c := range []struct {
		name  string
		path  string
		chunk int
	}{
		{"again", plain, 0},
		{"one line at a time", plain, 1},
		{"a few lines at a time", plain, 1000},
		{"all at once", plain, 16 << 20},
		{"compressed", packed, 0},
		{"compressed, in chunks that fit nothing", packed, 7777},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := judge(t, r, logs(t, c.chunk, c.path), ReplayOptions{})
			if !reflect.DeepEqual(got, want) {
				t.Errorf("told %v, digest %s, counts %v\nwant %v, digest %s, counts %v", got.actions(), got.Digest, got.Counts,
					want.actions(), want.Digest, want.Counts)
			}
		})
	}
}

// split deals lines into files by their key.
func split(lines []line, files int) [][]line {
	dealt := make([][]line, files)
	for _, l := range lines {
		n := 0
		for _, c := range l.key {
			n = (n*31 + int(c)) % files
		}
		dealt[n] = append(dealt[n], l)
	}
	return dealt
}

// TestReplayOfParts splits a log by id into eight files. Where nothing is late, and all is judged to the end, it is the same log.
func TestReplayOfParts(t *testing.T) {
	lines := linesOf(t, story)
	r := rolloutOf(t, storyRollout)
	want := judge(t, r, logs(t, 0, write(t, "whole.ndjson", lines)), ReplayOptions{Seal: true})
	if late := want.Counts.Of(schemas.KindPrediction, windows.Late) + want.Counts.Of(schemas.KindOutcome, windows.Late); late > 0 {
		t.Fatalf("%d events are late in a log that is in order", late)
	}
	var paths []string
	for i, part := range split(lines, 8) {
		paths = append(paths, write(t, fmt.Sprintf("part-%d.ndjson", i), part))
	}
	for _, chunk := range []int{0, 1, 5000} {
		got := judge(t, r, logs(t, chunk, paths...), ReplayOptions{Seal: true})
		if !reflect.DeepEqual(got, want) {
			t.Errorf("chunks of %d: told %v, digest %s, counts %v\nwant %v, digest %s, counts %v", chunk, got.actions(), got.Digest, got.Counts,
				want.actions(), want.Digest, want.Counts)
		}
	}
	slices.Reverse(paths)
	if got := judge(t, r, logs(t, 0, paths...), ReplayOptions{Seal: true}); got.Digest != want.Digest {
		t.Errorf("files in another order: digest %s, want %s", got.Digest, want.Digest)
	}
}

// TestDigestIsOfWhatCounts changes one line of a log: the digest changes if, and only if, the change is of something that counts.
func TestDigestIsOfWhatCounts(t *testing.T) {
	lines := linesOf(t, story)
	r := rolloutOf(t, storyRollout)
	digest := func(lines []line) string {
		j := judge(t, r, logs(t, 0, write(t, "log.ndjson", lines)), ReplayOptions{})
		return j.Digest
	}
	was := digest(lines)
	at := slices.IndexFunc(lines, func(l line) bool {
		return bytes.Contains(l.text, []byte(`"type":"prediction"`)) && bytes.Contains(l.text, []byte(`"error":false`)) &&
			bytes.Contains(l.text, []byte(`"version":"v2"`))
	})
	clicked := slices.IndexFunc(lines, func(l line) bool { return bytes.Contains(l.text, []byte(`"type":"outcome"`)) })
	reading := slices.IndexFunc(lines, func(l line) bool { return bytes.Contains(l.text, []byte(`"type":"sample"`)) })
	edit := func(at int, old, new string) []line {
		text := bytes.Replace(lines[at].text, []byte(old), []byte(new), 1)
		if bytes.Equal(text, lines[at].text) {
			t.Fatalf("line %s has no %q", lines[at].text, old)
		}
		edited := slices.Clone(lines)
		edited[at].text = text
		return edited
	}
	insert := func(at int, text string) []line {
		return slices.Insert(slices.Clone(lines), at, line{text: []byte(text)})
	}
	latency := `"latency_ms":` + latencyOf(t, lines[at].text)
	middle := len(lines) / 2
	for _, c := range []struct {
		name  string
		lines []line
		same  bool
	}{
		{"an error instead of an answer", edit(at, `"error":false`, `"error":true`), false},
		{"another latency", edit(at, latency, strings.Replace(latency, ":", ":9", 1)), false},
		{"the other version", edit(at, `"v2"`, `"v1"`), false},
		{"a prediction less", slices.Delete(slices.Clone(lines), at, at+1), false},
		{"an outcome less", slices.Delete(slices.Clone(lines), clicked, clicked+1), false},
		{"a sample less", slices.Delete(slices.Clone(lines), reading, reading+1), false},
		{"a late prediction, since it says that its arm is alive", insert(middle, `{"type":"prediction","id":"x","ts":1767603601000,"model":"ranker","version":"v2","latency_ms":1}`), false},
		{"a late outcome", insert(middle, `{"type":"outcome","id":"x","ts":1767603601000,"name":"click"}`), true},
		{"a late sample", insert(middle, `{"type":"sample","ts":1767603601000,"model":"ranker","version":"v2","host":"v2-0","name":"cpu","value":1}`), true},
		{"another order of keys", edit(at, `"error":false,"timeout":false`, `"timeout":false,"error":false`), true},
		{"a field that nobody reads", edit(at, `"error":false`, `"error":false,"colour":"red"`), true},
		{"a code, which is only shown", edit(at, `"error":false`, `"error":false,"code":"E1"`), true},
		{"a duplicate", insert(at+1, string(lines[at].text)), true},
		{"a duplicate outcome, which finds its prediction, too", insert(clicked+1, string(lines[clicked].text)), false},
		{"broken JSON, since the share of what can't be read is watched", insert(middle, `{"type":"prediction","id":`), false},
		{"a negative latency", insert(middle, `{"type":"prediction","id":"x","ts":1767603650000,"model":"ranker","version":"v2","latency_ms":-1}`), false},
		{"another model", insert(middle, `{"type":"prediction","id":"x","ts":1767603640000,"model":"other","version":"v2","latency_ms":1}`), true},
		{"another version", insert(middle, `{"type":"prediction","id":"x","ts":1767603640000,"model":"ranker","version":"v3","latency_ms":1}`), true},
		{"an outcome that no guardrail names", insert(middle, `{"type":"outcome","id":"x","ts":1767603640000,"name":"like"}`), true},
		{"an outcome of no prediction, since their share is watched", insert(middle, `{"type":"outcome","id":"nobody","ts":1767603649000,"name":"click"}`), false},
		{"a day ahead, and nobody confirms it", insert(middle, `{"type":"prediction","id":"x","ts":1767690000000,"model":"ranker","version":"v2","latency_ms":1}`), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := digest(c.lines); (got == was) != c.same {
				t.Errorf("digest %s, was %s: the same is %t, want %t", got, was, got == was, c.same)
			}
		})
	}
}

// latencyOf returns a prediction's latency as it is written.
func latencyOf(t testing.TB, text []byte) string {
	t.Helper()
	_, rest, found := strings.Cut(string(text), `"latency_ms":`)
	end := strings.IndexAny(rest, ",}")
	if !found || end < 0 {
		t.Fatalf("no latency in %s", text)
	}
	return rest[:end]
}

// TestReplayCounts holds that every line of a log is in exactly one class.
func TestReplayCounts(t *testing.T) {
	lines := linesOf(t, story+noise)
	cut, is := 0, map[schemas.Kind]int64{}
	for _, l := range lines {
		switch {
		case l.text[len(l.text)-1] != '}':
			cut++
		case bytes.Contains(l.text, []byte(`"type":"prediction"`)):
			is[schemas.KindPrediction]++
		case bytes.Contains(l.text, []byte(`"type":"outcome"`)):
			is[schemas.KindOutcome]++
		default:
			is[schemas.KindSample]++
		}
	}
	lines = append(lines, line{text: []byte(`{"type":"sample","ts":-5}`)}, line{text: []byte("not even an object")})
	is[schemas.KindSample]++
	cut++
	for _, seal := range []bool{false, true} {
		j := judge(t, rolloutOf(t, storyRollout), logs(t, 0, write(t, "log.ndjson", lines)), ReplayOptions{Seal: seal})
		for kind, want := range is {
			if got := j.Counts.Total(kind); got != want {
				t.Errorf("seal %t: %d %ss in all classes, want %d: %v", seal, got, kind, want, j.Counts)
			}
			if got := j.Counts.Of(kind, windows.Pending); seal && got != 0 {
				t.Errorf("sealed to the end, and %d %ss are pending", got, kind)
			}
		}
		if j.Unreadable != int64(cut) {
			t.Errorf("seal %t: %d unreadable, want %d", seal, j.Unreadable, cut)
		}
		if got := j.Counts.Of(schemas.KindSample, windows.Invalid); got != 1 {
			t.Errorf("seal %t: %d invalid samples, want 1", seal, got)
		}
	}
}

// TestReplayGoesOn replays logs whose first decision the past didn't obey.
func TestReplayGoesOn(t *testing.T) {
	lines := linesOf(t, strings.NewReplacer("for      100s", "for 150s", "+8pp from 50s", "+60pp from 70s").Replace(story))
	path := write(t, "log.ndjson", lines)
	soon := strings.Replace(storyRollout, "  guardrails:", "  stages: [{bake: 20s, pass: [errors], max: 24h, then: hold}]\n  guardrails:", 1)
	lenient := rolloutOf(t, strings.Replace(soon, "increase: 0.5pp", "increase: 10pp", 1))
	strict := rolloutOf(t, soon)
	begin := []string{"start prepare", "start commit"}
	for _, c := range []struct {
		name     string
		rollout  *schemas.Rollout
		goOn     bool
		want     []string
		verdict  analysis.VerdictAction
		complete bool // the rest of the log is judged, too
	}{
		{"rollback", strict, false, append(begin[:2:2], "rollback"), analysis.VerdictRollback, false},
		{"rollback, and on", strict, true, append(begin[:2:2], "rollback"), analysis.VerdictRollback, true},
		{"promotion, and then harm", lenient, false, append(begin[:2:2], "promote"), analysis.VerdictPromote, false},
		{"promotion, harm, and on: the evidence turns, but the rollout has ended", lenient, true, append(begin[:2:2], "promote"), analysis.VerdictRollback, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := judge(t, c.rollout, logs(t, 0, path), ReplayOptions{Continue: c.goOn})
			if actions := got.actions(); !reflect.DeepEqual(actions, c.want) || got.Verdict != c.verdict {
				t.Fatalf("decided %q, verdict %s (%s), want %q, %s", actions, got.Verdict, got.Sentence, c.want, c.verdict)
			}
			for i, d := range got.decided {
				if d.Epoch != 1 || d.Seq != int64(i+1) {
					t.Errorf("decision %d is epoch %d seq %d, want 1 and %d", i, d.Epoch, d.Seq, i+1)
				}
			}
			end := got.decided[len(got.decided)-1].EventTime
			if last := got.Guardrails[0].LastWindow; (last > end) != c.complete {
				t.Errorf("the last decision is of %s, and the last window judged of %s", end, last)
			}
			if n := got.Counts.Total(schemas.KindPrediction); n < 25_000 {
				t.Errorf("%d predictions counted: the rest of the log is missing", n)
			}
		})
	}
}

// TestReadTells: progress hangs on reading, so that a log of which nothing can be judged before its end shows some, too.
func TestReadTells(t *testing.T) {
	r := rolloutOf(t, storyRollout)
	path := write(t, "log.ndjson", linesOf(t, story))
	read, judgements := 0, 0
	judge(t, r, logs(t, 4096, path), ReplayOptions{Read: func() { read++ }, Judged: func(*Fold) { judgements++ }})
	if read <= judgements || judgements == 0 {
		t.Errorf("told of %d batches that were read, and %d times of parts that were judged", read, judgements)
	}
}
