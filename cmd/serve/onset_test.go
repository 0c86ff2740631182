package serve

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	onsetRuns     = flag.Int("onset", 0, "runs of each case of TestOnset, which take minutes; 0: one short run")
	onsetTogether = flag.Int("onset.together", 10, "rollouts that one service judges at once in TestOnset")
	onsetOnly     = flag.String("onset.only", "", "of TestOnset only the cases whose name has this in it")
	onsetSeed     = flag.Uint64("onset.seed", 1, "seed of TestOnset's traffic")
)

// An onsetCase is one harm after one healthy stretch: how long from its onset until a subscriber hears of the rollback?
type onsetCase struct {
	harm    string
	fault   string        // as in a scenario, without its onset
	healthy time.Duration // event time from the rollout's start to the onset; all but lead of it comes as sealed parts
	lead    time.Duration // the end of it, which goes through Kafka live, like all that follows
	pairs   float64       // chance that a healthy error of the baseline comes twice, and that it doesn't come at all: phi is 1 + 2 pairs
	limit   time.Duration // of the median total; 0: none
	sure    time.Duration // the same where phi was measured as surePhi or less; 0: limit
}

const surePhi = 1.15

func (c *onsetCase) name() string { return fmt.Sprintf("%s after %s", c.harm, c.healthy) }

// onsetCases are 1,000 requests a second, 1 % of them the canary's, 0.1 % of them errors before the onset, under the default
// guardrails.
func onsetCases() []onsetCase {
	const short, long, lead = 10 * time.Minute, 12 * time.Hour, time.Minute
	const all, fifth, none = "errors canary =100%", "errors canary =20%", "silent canary"
	s := time.Second
	return []onsetCase{
		{"100 % errors", all, short, lead, 0, 6 * s, 0},
		{"100 % errors", all, long, lead, 0, 7 * s, 0},
		{"20 % errors", fifth, short, lead, 0, 16 * s, 12 * s},
		{"20 % errors", fifth, long, lead, 0, 18 * s, 12 * s},
		{"20 % errors, in pairs before", fifth, long, lead, .2, 18 * s, 12 * s},
		{"the canary falls silent", none, short, lead, 0, 10 * s, 0},
		{"the canary falls silent", none, long, lead, 0, 10 * s, 0},
	}
}

// TestOnset measures from a harm's onset to the moment at which a subscriber hears of the rollback, through the embedded Kafka and NATS. Without
// -onset it is one short run, held to event time alone, so that it means the same on a slow machine.
func TestOnset(t *testing.T) {
	if *onsetRuns == 0 {
		c := onsetCase{harm: "100 % errors", fault: "errors canary =100%", healthy: 2 * time.Minute, lead: time.Second}
		runs := newOnsetBatch(t, &c, 0, 1).play(t)
		for _, line := range onsetTable(&c, runs) {
			t.Log(line)
		}
		if at := runs[0].parts(); at.window+at.evidence > 5*time.Second {
			t.Errorf("the window that decided ended %s after the onset, want 5 s at most", at.window+at.evidence)
		}
		return
	}
	var table []string
	for _, c := range onsetCases() {
		if !strings.Contains(c.name(), *onsetOnly) {
			continue
		}
		var runs []onsetRun
		for len(runs) < *onsetRuns {
			load := loadAverage()
			b := newOnsetBatch(t, &c, len(runs), min(*onsetTogether, *onsetRuns-len(runs)))
			runs = append(runs, b.play(t)...)
			t.Logf("%s: %d runs; load average %s before, %s after; events were sent %s late at most", c.name(), len(runs), load, loadAverage(), b.behind)
		}
		lines := onsetTable(&c, runs)
		for _, line := range lines {
			t.Log(line)
		}
		table = append(table, lines...)
		c.check(t, runs)
	}
	t.Logf("milliseconds: median / 90 %% / greatest\n%s\n%s", onsetHeading, strings.Join(table, "\n"))
}

// check holds the median totals to the case's limits.
func (c *onsetCase) check(t *testing.T, runs []onsetRun) {
	t.Helper()
	for _, some := range c.byPhi(runs) {
		limit := c.limit
		if some.sure && c.sure > 0 {
			limit = c.sure
		}
		var totals []time.Duration
		for i := range some.runs {
			totals = append(totals, some.runs[i].parts().total)
		}
		if median := onsetQuantile(totals, .5); median > limit {
			t.Errorf("%s, phi %s: a median of %s until a subscriber knew, want %s at most", c.name(), some.phi, median, limit)
		}
	}
}

// onsetParts is where the time went.
type onsetParts struct {
	total     time.Duration // from the onset, in event time, to when the subscriber knew, in wall time: events are sent when they happen
	window    time.Duration // to the end of the window that the onset was in
	evidence  time.Duration // to the end of the window that decided
	lateness  time.Duration // that late events are waited for
	transport time.Duration // through Kafka, both stages and NATS; the parts add up to the total
	judged    time.Duration // of transport: until the decision was made
}

func (r *onsetRun) parts() onsetParts {
	end := int64(r.decision.EventTime)
	window := r.onsetMs + 1000 - r.onsetMs%1000
	p := onsetParts{
		total: r.seen.Sub(time.UnixMilli(r.onsetMs)), window: millis(window - r.onsetMs), evidence: millis(end - window), lateness: r.rollout.Lateness,
	}
	p.transport = p.total - p.window - p.evidence - p.lateness
	p.judged = millis(int64(r.decision.IssuedAt) - end - r.rollout.Lateness.Milliseconds())
	return p
}

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// phi is the over-dispersion that the error guardrails were tested with, in the decision.
func (r *onsetRun) phi() float64 {
	for _, g := range r.decision.Reason.Guardrails {
		if g.Name == "errors" {
			return g.Phi
		}
	}
	return 0
}

// someRuns are the runs of a case with one kind of phi.
type someRuns struct {
	sure bool
	phi  string
	runs []onsetRun
}

// byPhi parts the runs by whether little over-dispersion was measured, where the case has a limit of its own for them.
func (c *onsetCase) byPhi(runs []onsetRun) []someRuns {
	all := []someRuns{{sure: false}, {sure: true}}
	for _, r := range runs {
		i := 0
		if c.sure > 0 && r.phi() <= surePhi {
			i = 1
		}
		all[i].runs = append(all[i].runs, r)
	}
	all = slices.DeleteFunc(all, func(s someRuns) bool { return len(s.runs) == 0 })
	for i := range all {
		var phis []float64
		for j := range all[i].runs {
			phis = append(phis, all[i].runs[j].phi())
		}
		slices.Sort(phis)
		all[i].phi = fmt.Sprintf("%.2f-%.2f", phis[0], phis[len(phis)-1])
	}
	return all
}

const onsetRow = "%-44s %-10s %4s  %-20s %-14s %-20s %-8s %-16s %-16s %s"

var onsetHeading = fmt.Sprintf(onsetRow, "harm", "phi", "runs", "total", "window", "evidence", "lateness", "transport", "of it: judged", "by")

// onsetTable is the case's lines.
func onsetTable(c *onsetCase, runs []onsetRun) []string {
	var lines []string
	for _, some := range c.byPhi(runs) {
		var total, window, evidence, lateness, transport, judged []time.Duration
		var by []string
		for i := range some.runs {
			p := some.runs[i].parts()
			total, window, evidence = append(total, p.total), append(window, p.window), append(evidence, p.evidence)
			lateness, transport, judged = append(lateness, p.lateness), append(transport, p.transport), append(judged, p.judged)
			by = append(by, some.runs[i].decision.Reason.Code)
		}
		slices.Sort(by)
		lines = append(lines, fmt.Sprintf(onsetRow, c.name(), some.phi, fmt.Sprint(len(some.runs)), onsetSpread(total), onsetSpread(window), onsetSpread(evidence),
			fmt.Sprint(onsetQuantile(lateness, .5).Milliseconds()), onsetSpread(transport), onsetSpread(judged), strings.Join(slices.Compact(by), ", ")))
	}
	return lines
}

func onsetSpread(all []time.Duration) string {
	return fmt.Sprintf("%d/%d/%d", onsetQuantile(all, .5).Milliseconds(), onsetQuantile(all, .9).Milliseconds(), onsetQuantile(all, 1).Milliseconds())
}

// onsetQuantile is the smallest that a share q is not above.
func onsetQuantile(all []time.Duration, q float64) time.Duration {
	all = slices.Sorted(slices.Values(all))
	at := int(q*float64(len(all))+.999999) - 1
	return all[max(0, min(at, len(all)-1))]
}

// loadAverage says how busy the machine is, where it tells.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	load, _, _ := strings.Cut(string(text), " ")
	return load
}
