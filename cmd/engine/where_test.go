package engine

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"streamcanary/analysis"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// fleet is a fresh baseline and a canary of equal size, as two logs: theirs, and that of the many hosts which have served the baseline's version all along.
func fleet(t *testing.T, base, canary, old string) [][]line {
	t.Helper()
	const both = "model ranker\nbaseline version v1\ncanary version v2\nfor 60s\noutcome click 10% after exponential 2s\nbaseline sample cpu 50% every 5s\n"
	fresh := both + "# fresh\ncanary sample cpu 50% every 5s\nseed 5\nrate 200/s\nsplit 50%\nhosts 3\nbaseline hosts 3 named base\nerrors 0.5%\nlatency " + base + "\ncanary latency " + canary + "\nexpect no-rollback\n"
	rest := both + "# old\nseed 6\nrate 400/s\nsplit 0%\nhosts 8 named old\nerrors 0.5%\nlatency " + old + "\nexpect no-rollback\n"
	return [][]line{linesOf(t, fresh), linesOf(t, rest)}
}

func fleetRollout(t *testing.T, where string) *schemas.Rollout {
	t.Helper()
	return rolloutOf(t, fmt.Sprintf(`metadata: {name: fleet}
spec:
  model: ranker
  baseline: {version: v1%s}
  canary: {version: v2}
  outcomes: {click: {within: 10s}}
  stages: [{weight: 16.67, bake: 1h, max: 2h}]
  guardrails:
    - {name: errors, rate: error, increase: 5pp}
    - {name: p50, quantile: 0.5, of: latency, increase: 20%%}
    - {name: cpu, sample: cpu, limit: 0.9, increase: 5pp, on: hold}
    - {name: ctr, rate: click, decrease: 50%%}
`, where))
}

// TestReplayWhere: what a canary is compared with is what where picks, and the rest of the version is of no arm.
func TestReplayWhere(t *testing.T) {
	const fast, slow, slowest = "lognormal 40ms sigma 0.5", "lognormal 60ms sigma 0.5", "lognormal 120ms sigma 0.5"
	for _, row := range []struct {
		name              string
		base, canary, old string
		where             string
		want              analysis.VerdictAction
	}{
		{"slow hosts hide a slow canary", fast, slow, slowest, "", analysis.VerdictContinue},
		{"without them it shows", fast, slow, slowest, `, where: {host: "base-*"}`, analysis.VerdictRollback},
		{"warm hosts make a cold canary look harmful", slow, slow, fast, "", analysis.VerdictRollback},
		{"beside hosts as cold it isn't", slow, slow, fast, `, where: {host: "base-*"}`, analysis.VerdictContinue},
	} {
		t.Run(row.name, func(t *testing.T) {
			parts := fleet(t, row.base, row.canary, row.old)
			paths := []string{write(t, "fresh.ndjson", parts[0]), write(t, "old.ndjson", parts[1])}
			r := fleetRollout(t, row.where)
			got := judge(t, r, logs(t, 0, paths...), ReplayOptions{})
			if got.Verdict != row.want {
				t.Errorf("verdict %s, want %s: %s", got.Verdict, row.want, got.Sentence)
			}
			if len(got.Health) > 0 {
				t.Errorf("the input is found unsound: %+v", got.Health)
			}
			checkFleet(t, &got, parts, row.where != "")
			if again := judge(t, r, logs(t, 1000, paths...), ReplayOptions{}); !reflect.DeepEqual(again, got) {
				t.Errorf("read in small pieces: digest %s, counts %v; want %s, %v", again.Digest, again.Counts, got.Digest, got.Counts)
			}
		})
	}
}

// checkFleet: every event is in one class, and the old hosts' are other where the baseline is part of its version.
func checkFleet(t *testing.T, got *judged, parts [][]line, picked bool) {
	t.Helper()
	for _, kind := range []schemas.Kind{schemas.KindPrediction, schemas.KindOutcome, schemas.KindSample} {
		var sum, rest, all int64
		for _, class := range windows.ClassesOf(kind) {
			sum += got.Counts.Of(kind, class)
		}
		for i, lines := range parts {
			n := int64(len(slices.DeleteFunc(slices.Clone(lines), func(l line) bool { return !strings.Contains(string(l.text), `"type":"`+kind.String()+`"`) })))
			all += n
			if i == 1 && picked {
				rest = n
			}
		}
		other, pending := got.Counts.Of(kind, windows.Other), got.Counts.Of(kind, windows.Pending)
		if sum != all || got.Counts.Total(kind) != all {
			t.Errorf("%s: classes %d, total %d, want %d", kind, sum, got.Counts.Total(kind), all)
		}
		// The last outcomes still wait for their predictions.
		if other > rest || other+pending < rest {
			t.Errorf("%s: %d other and %d pending, want %d other", kind, other, pending, rest)
		}
	}
}

// TestReplayWhereNothingFits says whom it waits for.
func TestReplayWhereNothingFits(t *testing.T) {
	lines := fleet(t, "fixed 5ms", "fixed 5ms", "fixed 5ms")[0]
	got := judge(t, fleetRollout(t, `, where: {host: "bsae-*"}`), logs(t, 0, write(t, "log.ndjson", lines)), ReplayOptions{})
	const want = "There is no window yet in which both canary v2 and baseline v1 (host bsae-*) answered."
	if got.Sentence != want || got.Windows == 0 {
		t.Errorf("got %q after %d windows, want %q", got.Sentence, got.Windows, want)
	}
}

// TestPlanOfWhere: the plan carries where, and without it is what it was.
func TestPlanOfWhere(t *testing.T) {
	plain, part := PlanOf(fleetRollout(t, ""), 1, 0), PlanOf(fleetRollout(t, `, where: {host: "base-*"}`), 1, 0)
	if plain.Where != [windows.Arms]schemas.Where{} || !plain.Health {
		t.Errorf("without where: %+v", plain)
	}
	if want := [windows.Arms]schemas.Where{windows.Baseline: {Host: "base-*"}}; part.Where != want || part.Health {
		t.Errorf("with where: %+v, health %v", part.Where, part.Health)
	}
}
