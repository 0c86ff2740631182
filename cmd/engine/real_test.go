package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"streamcanary/analysis"
	"streamcanary/schemas"
	"streamcanary/windows"
)

const (
	realRollout = `apiVersion: streamcanary.dev/v1
kind: Rollout
metadata: {name: real}
spec:
  model: ranker
  baseline: {version: v1}
  canary: {version: v2}
  risk: {falseRollback: 0.05}
  patience: 5m
  guardrails:
    - {name: errors,   rate: error,   increase: 0.5pp, weight: 3}
    - {name: p99,      quantile: 0.99, of: latency, increase: 20%, weight: 4}
    - {name: timeouts, rate: timeout, increase: 0.2pp, weight: 1}
`
	realClicks   = "    - {name: ctr,      rate: click,   decrease: 2%, prove: any, required: false, weight: 1}\n"
	realLateness = "  lateness: 30s\n  patience: 5m\n"
)

// realLog finds one of the real logs, which lie beside the checkout: their README says what each is and what the true answer is.
func realLog(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join("../../../shared/data/events", name+".ndjson.gz")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("passed over: the real log %s is not on this machine", path)
	}
	return path
}

// TestRealLogs replays the seven real logs.
func TestRealLogs(t *testing.T) {
	for _, c := range []struct {
		name    string
		clicks  bool
		late    bool
		want    analysis.VerdictAction // of a rollback; else: anything but that
		because string                 // guardrail that failed
		onsetMs int64                  // after the log's beginning: no rollback before
	}{
		{name: "incident_frontend_cpu", want: analysis.VerdictRollback, because: "p99", onsetMs: 30_000},
		{name: "incident_frontend_failfast", want: analysis.VerdictRollback, because: "errors", onsetMs: 53_000},
		{name: "incident_email_no_visible_effect"},
		{name: "latency_tail_trainticket", want: analysis.VerdictRollback, because: "p99"},
		{name: "latency_tail_trainticket_small"},
		{name: "obd_men_bts_vs_random", clicks: true},
		{name: "dirty_transport_aa", clicks: true, late: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := realRollout
			if c.clicks {
				text += realClicks
			}
			if c.late {
				text = strings.Replace(text, "  patience: 5m\n", realLateness, 1)
			}
			j := judge(t, rolloutOf(t, text), logs(t, 0, realLog(t, c.name)), ReplayOptions{})
			last := j.decided[len(j.decided)-1]
			t.Logf("%s at %s: %s", last.Action, last.EventTime, j.Sentence)
			guardrails, failed := last.Reason.Guardrails, ""
			if len(guardrails) == 0 { // nothing but the start was decided
				guardrails = j.Guardrails
			}
			for _, g := range guardrails {
				t.Logf("  %s: %s, log evidence %.2f of %.2f", g.Name, g.State, g.LogEvidence, g.Threshold)
				if g.State == schemas.StateFailed {
					failed = g.Name
				}
			}
			if (c.want == analysis.VerdictRollback) != (j.Verdict == analysis.VerdictRollback) || failed != c.because {
				t.Fatalf("verdict %s because of %q, want rollback %t because of %q", j.Verdict, failed, c.want == analysis.VerdictRollback, c.because)
			}
			if begun := realBeginMs + c.onsetMs; c.because != "" && int64(last.EventTime) < begun {
				t.Errorf("rolled back at %s, before the harm at %s", last.EventTime, schemas.Time(begun))
			}
		})
	}
}

// realBeginMs is 2025-10-09T09:00:00Z, when every real log begins.
const realBeginMs = 1760000400000

// TestRealClicks holds that clicks are tested even where an arm has one event a minute.
func TestRealClicks(t *testing.T) {
	path := realLog(t, "obd_men_bts_vs_random")
	j := judge(t, rolloutOf(t, realRollout+realClicks), logs(t, 0, path), ReplayOptions{})
	clicks := j.Counts.Total(schemas.KindOutcome)
	for _, g := range j.Guardrails {
		if tested := g.Baseline.Events + g.Canary.Events; g.Name == "ctr" {
			t.Logf("%d of %d clicks are in a tested block", tested, clicks)
			if 100*tested < 95*clicks {
				t.Errorf("%d of %d clicks are in a tested block, want 95 %% at least", tested, clicks)
			}
		}
	}
}

// TestRealDirt holds the classes of a log with duplicates, unknown ids and disorder against what its README says.
func TestRealDirt(t *testing.T) {
	path := realLog(t, "dirty_transport_aa")
	r := rolloutOf(t, strings.Replace(realRollout+realClicks, "  patience: 5m\n", realLateness, 1))
	for _, seal := range []bool{false, true} {
		j := judge(t, r, logs(t, 0, path), ReplayOptions{Seal: seal})
		of := func(kind schemas.Kind, classes ...windows.Class) (sum int64) {
			for _, class := range classes {
				sum += j.Counts.Of(kind, class)
			}
			return sum
		}
		p, o := schemas.KindPrediction, schemas.KindOutcome
		type counts struct {
			Predictions, Unique, Copies, Outcomes, UniqueOutcomes, OutcomeCopies int64
		}
		got := counts{
			j.Counts.Total(p), of(p, windows.Counted, windows.Pending), of(p, windows.Duplicate),
			j.Counts.Total(o), of(o, windows.Matched, windows.Unmatched, windows.Outside, windows.Pending), of(o, windows.Duplicate),
		}
		if want := (counts{17_030, 16_451, 579, 1_854, 1_782, 72}); got != want {
			t.Errorf("seal %t: %+v\nwant %+v\nclasses %v", seal, got, want, j.Counts)
		}
		if !seal {
			continue
		}
		if pending := of(p, windows.Pending) + of(o, windows.Pending); pending != 0 {
			t.Errorf("sealed to the end, and %d events are pending", pending)
		}
		if unknown := of(o, windows.Unmatched); unknown != 33 {
			t.Errorf("%d outcomes are unmatched, want the 33 of unknown ids: %v", unknown, j.Counts)
		}
	}
}
