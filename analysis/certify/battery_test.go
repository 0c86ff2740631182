package certify

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// shortTypeOne plays all worlds of type I for a twentieth of their time.
func shortTypeOne() []Experiment {
	var all []Experiment
	for _, w := range Worlds() {
		w.Windows = blocks / 20
		for _, s := range []Setting{atMargins, atAny} {
			if !w.AnyOnly || s.edge.Name == "" {
				all = append(all, typeOneExperiment(w, s, Methods()))
			}
		}
	}
	w := worldOf("ramp")
	w.Windows = blocks / 20
	return append(all, typeOneExperiment(w, atAny.allOn(), []Method{verdict}))
}

// TestBattery is the certificate in small: nothing that is promised is broken, and the planted mistake is found out.
func TestBattery(t *testing.T) {
	report, err := Run(context.Background(), shortTypeOne(), Options{Seed: 7, Runs: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range report.Broken() {
		t.Errorf("%s/%s: %s: %s: %s", row.Group, row.Experiment, row.Method, row.Measure, row.long())
	}
	if !slices.ContainsFunc(report.Rows, func(r Row) bool { return r.Result == Caught }) {
		t.Error("the planted test was not found out")
	}
}

// TestRunsOfTheCertificateHaveTheirBlocks: each has 2,000 of a rate, which take windows until both arms have eight predictions.
func TestRunsOfTheCertificateHaveTheirBlocks(t *testing.T) {
	for _, w := range Worlds() {
		scene := w.make()
		tape := NewTape(scene, atMargins.rollout(w.Width, .05), sourceOf(1, 2))
		var open [windows.Arms]int64
		full := 0
		for tape.moment.T+1 < w.certified() {
			served := &tape.Next().Serving.Traffic
			for arm := range open {
				open[arm] += served[arm].Events
			}
			if slices.Min(open[:]) >= 8 {
				full, open = full+1, [windows.Arms]int64{}
			}
		}
		if full < blocks {
			t.Errorf("%s: %d blocks in %d windows; want %d", w.Name, full, w.certified(), blocks)
		}
	}
}

// TestOthersInSmall plays the settings that are neither on all margins nor at none for a short time: nothing is broken in it, and stages are walked.
func TestOthersInSmall(t *testing.T) {
	var all []Experiment
	w := worldOf("flat")
	w.Windows = 400
	for _, s := range []Setting{mixed, scoresAtMargin, scoresAtAny} {
		all = append(all, typeOneExperiment(w, s, []Method{verdict}))
	}
	ramp := atAny.allOn().bothWays()
	ramp.stages = stagedKeys
	all = append(all, Experiment{Group: "stages", Name: "flat", Runs: 1, begin: staged{world: w, setting: ramp}.begin})
	report, err := Run(context.Background(), all, Options{Seed: 7, Runs: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range report.Broken() {
		t.Errorf("%s/%s: %s: %s: %s", row.Group, row.Experiment, row.Method, row.Measure, row.long())
	}
}

// TestAWrongMethodBreaksTheBattery: the planted z-test, were it the product's, fails it.
func TestAWrongMethodBreaksTheBattery(t *testing.T) {
	wrong := zTests[0]
	wrong.Ours, wrong.Wrong = true, false
	w := worldOf("ramp")
	w.Windows = 600
	report, err := Run(context.Background(), []Experiment{typeOneExperiment(w, atAny, []Method{wrong})}, Options{Seed: 3, Runs: 12})
	if err != nil {
		t.Fatal(err)
	}
	broken := report.Broken()
	if len(broken) == 0 || broken[0].Source != wrong.Source {
		t.Errorf("broken rows are %v; want those of the wrong test", broken)
	}
}

// TestAPlantedMistakeThatIsNeverFoundBreaksTheBattery: such a battery would let anything pass.
func TestAPlantedMistakeThatIsNeverFoundBreaksTheBattery(t *testing.T) {
	r := Report{Rows: []Row{{Method: "planted", Result: Missed}, {Method: "ours", Result: Kept}}}
	if got := r.Broken(); len(got) != 1 || got[0].Method != "planted" {
		t.Errorf("broken: %v", got)
	}
	r.Rows = append(r.Rows, Row{Method: "planted", Result: Caught})
	if got := r.Broken(); len(got) != 0 {
		t.Errorf("broken: %v", got)
	}
}

// TestParallelismChangesNothing: the same seed gives the same report with one processor and with many, and another seed another one.
func TestParallelismChangesNothing(t *testing.T) {
	play := func(seed uint64, parallel int) string {
		report, err := Run(context.Background(), shortTypeOne()[:1], Options{Seed: seed, Runs: 3, Parallel: parallel})
		if err != nil {
			t.Fatal(err)
		}
		report.Seed = 0
		data, err := json.Marshal(report)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	one := play(5, 1)
	if many := play(5, 7); many != one {
		t.Error("seven at once give another report than one after the other")
	}
	if other := play(6, 2); other == one {
		t.Error("another seed gives the same report")
	}
}

func TestEveryExperimentHasANameOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range Battery() {
		if seen[e.ID()] || e.Runs < 1 || e.About == "" || strings.Contains(e.Group, "/") {
			t.Errorf("experiment %q: taken, without runs or words, or its group has a slash", e.ID())
		}
		seen[e.ID()] = true
	}
	names := map[string]bool{}
	for _, m := range Methods() {
		if names[m.Name] || m.Source == "" {
			t.Errorf("method %q: taken, or without a source", m.Name)
		}
		names[m.Name] = true
	}
}

func TestNothingChosenIsAnError(t *testing.T) {
	count := func(words ...string) (n int) {
		battery := Battery()
		for i := range battery {
			if chosen(battery, &battery[i], words) {
				n++
			}
		}
		return n
	}
	if whole, more, all := count("gauges/any"), count("gauges/an"), count(); whole != 1 || more != 5 || all != len(Battery()) {
		t.Errorf("a whole name chooses %d, its beginning %d, and nothing %d", whole, more, all)
	}
	if _, err := Run(context.Background(), Battery(), Options{Worlds: []string{"nowhere"}}); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, Battery(), Options{Worlds: []string{"split"}}); err == nil {
		t.Error("a run that was cancelled reports nothing")
	}
}

// TestTapesAreTheSameAgain: one seed, one tape, byte by byte; and the parts are as stage two makes them.
func TestTapesAreTheSameAgain(t *testing.T) {
	for _, w := range Worlds() {
		r := atMargins.rollout(w.Width, .05)
		play := func(seed uint64) []byte {
			var all []byte
			tape := NewTape(w.make(), r, sourceOf(seed, 1))
			for range 100 {
				for _, p := range tape.Next().Parts {
					all = windows.PartBytes(all, p)
					soundPart(t, w.Name, p)
				}
			}
			return all
		}
		if !bytes.Equal(play(1), play(1)) || bytes.Equal(play(1), play(2)) {
			t.Errorf("%s: the seed doesn't make the tape", w.Name)
		}
	}
}

// TestALowerLevelProvesNoMore: whatever is rolled back or held at the lower level is so at the higher one, too, not later; a run in which nothing
// happens there needs no second look.
func TestALowerLevelProvesNoMore(t *testing.T) {
	for run := range uint64(24) {
		s := worldOf("clumps").make()
		s.harm = Harm{Plus: map[string]float64{"error": .0004 * float64(run)}, Slower: 1 + .01*float64(run%5)}
		setting := []Setting{atMargins, atAny}[run%2]
		c := &Case{Rollout: func(a float64) *schemas.Rollout { return setting.rollout(time.Second, a) }, Alphas: alphas}
		both := verdict.start(c).(*verdictWatch)
		tape, alarmed := NewTape(s, c.Rollout(.05), sourceOf(run, 4)), make([]bool, 2)
		for range 150 {
			both.see(tape.Next(), alarmed)
		}
		high, low := both.ends[0], both.ends[1]
		if low.RolledBack != "" && (high.RolledBack == "" || high.At > low.At) {
			t.Errorf("run %d: at the lower level %q in window %d, at the higher %q in %d", run, low.RolledBack, low.At, high.RolledBack, high.At)
		}
		if high.quiet() && !low.quiet() {
			t.Errorf("run %d: held for %v at the lower level only", run, low.Held)
		}
	}
}

// soundPart checks what every merged part promises.
func soundPart(t *testing.T, world string, p *windows.Part) {
	t.Helper()
	for arm := range windows.Arms {
		for i, c := range p.Cells[arm] {
			n, sliceN, sliceK, before := int64(0), int64(0), int64(0), int32(-1<<30)
			for _, b := range c.Hist {
				if b.Index <= before || b.Count == 0 {
					t.Fatalf("%s %s: histogram out of order", world, p.Metrics[i])
				}
				n, before = n+int64(b.Count), b.Index
			}
			for _, s := range c.Slices {
				sliceN, sliceK = sliceN+s.N, sliceK+s.K
			}
			if c.K > c.N || len(c.Hist) > 0 && n != c.N || sliceN > 0 && (sliceN != c.N || sliceK != c.K) {
				t.Fatalf("%s %s: cell N %d K %d, histogram %d, slices %d and %d", world, p.Metrics[i], c.N, c.K, n, sliceN, sliceK)
			}
		}
	}
}
