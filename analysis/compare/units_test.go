package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// TestUncalibrated: a baseline of which one half by unit is slower for good differs from itself. The answer says so, and proves nothing. Of hosts, which stay, that may be noise: as it is reckoned with,
// nothing is proven either.
func TestUncalibrated(t *testing.T) {
	for _, stay := range []bool{false, true} {
		r := rand.New(rand.NewPCG(1, 2))
		var out strings.Builder
		out.WriteString("window,arm,unit,value\n")
		for w := range 400 {
			for host := range 32 {
				unit, slow := fmt.Sprintf("user-%d-%d", w, host), 1.0
				if stay {
					unit = fmt.Sprint("host-", host)
				}
				if windows.SliceOf(unit) == 0 {
					slow = 1.5
				}
				for range 5 {
					fmt.Fprintf(&out, "%d,baseline,%s,%.1f\n", w, unit, 20*slow*math.Exp(.5*r.NormFloat64()))
				}
			}
			for range 20 {
				fmt.Fprintf(&out, "%d,canary,host-c,%.1f\n", w, 26*math.Exp(.5*r.NormFloat64()))
			}
		}
		sum, _, err := compared(Spec{Kind: Quantile, Quantile: .9, Direction: schemas.Increase, Margin: "10%"}, out.String())
		if err != nil {
			t.Fatal(err)
		}
		page := written(t, sum)
		if told := strings.Contains(page, "the baseline differs from itself"); sum.Verdict == schemas.StateFailed || told != (sum.Calibration == schemas.CalibrationFailed) || !told && !(stay && sum.Phi > 20) {
			t.Errorf("units stay %v: phi %v, %s, %q\n%s", stay, sum.Phi, sum.Verdict, sum.Calibration, page)
		}
	}
}

// TestBaselineRate: a rate that is known to be high, from the rows before the canary's first or from the Spec, is tested by the sharper test.
func TestBaselineRate(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var rows strings.Builder
	for w := range 60 {
		fmt.Fprintf(&rows, "%d,500,%d,500,%d\n", w+1, hits(r, 500, .5), hits(r, 500, .45))
	}
	const head = "window,baseline_n,baseline_events,canary_n,canary_events\n"
	for _, effects := range []Effects{Incident, Engagement} {
		spec := Spec{Kind: Rate, Direction: schemas.Decrease, Margin: "any", Phi: 1, Effects: effects}
		blunt, _, err := compared(spec, head+rows.String())
		sharp, _, err2 := compared(spec, head+"0,1000,500,0,0\n"+rows.String())
		spec.BaselineRate = .5
		told, _, err3 := compared(spec, head+rows.String())
		if err != nil || err2 != nil || err3 != nil {
			t.Fatal(err, err2, err3)
		}
		if !(sharp.LogEvidence > 1.5*blunt.LogEvidence) || !(told.LogEvidence > 1.5*blunt.LogEvidence) {
			t.Errorf("%s: evidence %v without a rate, %v with rows before, %v told", effects, blunt.LogEvidence, sharp.LogEvidence, told.LogEvidence)
		}
		for x, want := range map[*Summary]bool{blunt: true, sharp: false, told: false} {
			var text strings.Builder
			if err := x.Write(&text); err != nil {
				t.Fatal(err)
			}
			if have := strings.Contains(text.String(), "--baseline-rate RATE takes a sharper test"); have != want {
				t.Errorf("%s: told of the sharper test: %v, want %v:\n%s", effects, have, want, text.String())
			}
		}
	}
}

// TestEffectsThatAreNotBetOn: where the interval shows a change that is smaller than what the verdict looks for, the answer says so, and how to look for it.
func TestEffectsThatAreNotBetOn(t *testing.T) {
	rows := "window,baseline_n,baseline_events,canary_n,canary_events\n" + strings.Repeat("%d,9000000,90000,1000000,%d\n", 60)
	play := func(canary int, effects Effects) string {
		var at []any
		for w := range 60 {
			at = append(at, w, canary)
		}
		sum, _, err := compared(Spec{Kind: Rate, Direction: schemas.Increase, Margin: "any", Phi: 1.5, Effects: effects}, fmt.Sprintf(rows, at...))
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		if err := sum.Write(&text); err != nil {
			t.Fatal(err)
		}
		return text.String()
	}
	const note = "the verdict looks for effects of 5 % and more. Where smaller ones matter, give --effects engagement from the beginning"
	if text := play(10_250, Incident); !strings.Contains(text, "UNDECIDED") || !strings.Contains(text, note) {
		t.Errorf("of 2.5 %% more:\n%s", text)
	}
	for _, text := range []string{play(10_000, Incident), play(10_250, Engagement), play(12_000, Incident)} {
		if strings.Contains(text, note) {
			t.Errorf("nothing to say:\n%s", text)
		}
	}
}

// TestFewUnits: an unplanned share that changes is found in a file of few units; before any share is known the answer says that, and what to do.
func TestFewUnits(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	text := "window,baseline,canary\n"
	for day := range 60 {
		share := .1
		if day >= 30 {
			share = .05
		}
		k := hits(r, 130, share)
		text += fmt.Sprintf("%d,%d,%d\n", day, 130-k, k)
	}
	got, _, err := compared(Spec{Kind: SRM}, text)
	if err != nil || got.Verdict != schemas.StateFailed || got.Canary.N > 800 {
		t.Errorf("%+v, %v", got, err)
	}
	young, _, err := compared(Spec{Kind: SRM}, strings.Join(strings.SplitAfter(text, "\n")[:4], ""))
	if err != nil || young.Verdict != schemas.StateInsufficient || young.Why != "no_reference" || !strings.Contains(young.Sentence, "Give the plan, with --share") {
		t.Errorf("%+v, %v", young, err)
	}
	spec := Spec{Kind: SRM, Share: .1}
	if told, _, err := compared(spec, text); err != nil || told.Planned != .1 || told.DecidedAt >= got.DecidedAt {
		t.Errorf("with a plan: %+v, %v", told, err)
	}
}

// TestSums: sums are what the values add up to, and what they can't be is refused.
func TestSums(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var values, sums, wide strings.Builder
	for w := range 30 {
		fmt.Fprintf(&wide, "%d", w)
		for arm, name := range []string{"baseline", "canary"} {
			sum, squares := 0.0, 0.0
			for range 50 {
				x := math.Round(800*r.Float64()*(1-.3*float64(arm))) / 8
				fmt.Fprintf(&values, "%d,%s,%v\n", w, name, x)
				x = min(x, 64)
				sum, squares = sum+x, squares+x*x
			}
			fmt.Fprintf(&sums, "%d,%s,50,%v,%v\n", w, name, sum, squares)
			fmt.Fprintf(&wide, ",50,%v,%v", sum, squares)
		}
		wide.WriteString("\n")
	}
	spec := Spec{Kind: Mean, Direction: schemas.Decrease, Margin: "5%", Cap: 64}
	want, _, err := compared(spec, "window,arm,value\n"+values.String())
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]string{
		"sums": "window,arm,n,sum,squares\n" + sums.String(),
		"wide": "window,baseline_n,baseline_sum,baseline_squares,canary_n,canary_sum,canary_squares\n" + wide.String(),
	} {
		got, _, err := compared(spec, in)
		if err != nil || got.Verdict != want.Verdict || math.Abs(got.LogEvidence-want.LogEvidence) > 1e-3 || math.Abs(*got.Estimate-*want.Estimate) > 1e-6 {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
	}
	const head = "window,arm,n,sum,squares\n1,baseline,2,30,500\n"
	for _, tt := range []struct{ row, want string }{
		{"1,canary,2,200,20000", "f.csv:3:12: 2 values with the sum 200 and the squares 20000 can't all be within the cap of 64: cap them where they are added up, or give a greater cap"},
		{"1,canary,2,30,400", "f.csv:3:12: 2 values with the sum 30 can't have squares that add up to 400 only: give the sum of the squared values"},
		{"1,canary,2,x,400", `f.csv:3:12: sum "x" is not a number: write e.g. 1234.5`},
		{"1,canary,2,1,", `f.csv:3:14: squares is empty: write 0 where there was nothing`},
		{"1,canary,2000000000,1,1", "f.csv:3:10: n 2000000000 is more than 1000000000 values: use shorter windows"},
	} {
		if _, _, err := compared(spec, head+tt.row+"\n"); text(err) != tt.want {
			t.Errorf("%s: %s\nwant %s", tt.row, text(err), tt.want)
		}
	}
}

// TestAlikeValues: values that are alike within units weigh less the more they are, which the answer tells window by window; without units, or phi, each is by itself.
func TestAlikeValues(t *testing.T) {
	file := func(alike float64, head string) string {
		r := rand.New(rand.NewPCG(8, 1))
		var out strings.Builder
		out.WriteString(head)
		for w := range 100 {
			for user := range 12 {
				level := alike * r.NormFloat64()
				for range 8 {
					fmt.Fprintf(&out, "%d,%s,u%d-%d,%.2f\n", w, []string{"baseline", "canary"}[user%2], w, user, 20*math.Exp(level+math.Sqrt(1-alike*alike)*r.NormFloat64()))
				}
			}
		}
		return out.String()
	}
	const named, unnamed = "window,arm,unit,value\n", "window,arm,user,value\n"
	for _, kind := range []Kind{Quantile, KS, MannWhitney} {
		spec := Spec{Kind: kind, Direction: schemas.Increase, Margin: "20%"}
		if kind == Quantile {
			spec.Quantile = .5
		}
		for _, tt := range []struct {
			alike       float64
			head        string
			phi         float64
			least, most float64
			text        string
		}{
			{.95, named, 0, 4, 24, "times that of rows that go to the arms one by one (by the baseline's units)"},
			{0, named, 0, 1, 1.9, "times that of rows that go to the arms one by one (by the baseline's units)"},
			{.95, unnamed, 7.5, 7.5, 7.5, "7.5 times that of rows that go to the arms one by one (assumed; a column unit would let it be measured)"},
			{.95, unnamed, 0, 1, 1, "take one a window, or give the column unit."},
		} {
			spec.Phi = tt.phi
			got, lines, err := compared(spec, file(tt.alike, tt.head))
			if err != nil {
				t.Fatal(err)
			}
			page := written(t, got)
			if got.Phi < tt.least || got.Phi > tt.most || lines[len(lines)-1].Phi != got.Phi || lines[0].Phi == 0 || !strings.Contains(page, tt.text) {
				t.Errorf("%s, %v alike, %q: phi %v at first, %v in the end, want %v to %v\n%s", kind, tt.alike, tt.head, lines[0].Phi, got.Phi, tt.least, tt.most, page)
			}
			if noisy := strings.Contains(page, "and are no noisier than that"); noisy != (got.Measured || tt.phi > 0) || strings.Contains(page, "\nnoise ") != noisy {
				t.Errorf("%s, %q: %s", kind, tt.head, page)
			}
		}
	}
}

// TestUnitsOfOneRow: where every row is the first of its unit, or names none, nothing can be alike: evidence is what it is without units. The second row of a unit ends that, in whichever window.
func TestUnitsOfOneRow(t *testing.T) {
	file := func(unit func(row int) string) string {
		r := rand.New(rand.NewPCG(9, 1))
		var out strings.Builder
		out.WriteString("window,arm,unit,value\n")
		for row := range 2000 {
			arm, x := "baseline", 20*math.Exp(.5*r.NormFloat64())
			if row%4 == 0 {
				arm, x = "canary", 2*x
			}
			fmt.Fprintf(&out, "%d,%s,%s,%.2f\n", row/40, arm, unit(row), x)
		}
		return out.String()
	}
	own := func(row int) string { return fmt.Sprint("u", row) }
	for _, spec := range []Spec{p90(), {Kind: KS}, {Kind: MannWhitney, Direction: schemas.Increase, Margin: "any"}} {
		plain, _, err := compared(spec, strings.Replace(file(own), "unit", "id", 1))
		if err != nil || plain.Phi != 1 || plain.LogEvidence <= 0 {
			t.Fatalf("%s without units: phi %v, %v", spec.Kind, plain.Phi, err)
		}
		for name, unit := range map[string]func(row int) string{
			"each its own": own,
			"none":         func(int) string { return "" },
			"of the canary many": func(row int) string {
				if row%4 == 0 {
					return "canary"
				}
				return own(row)
			},
		} {
			got, _, err := compared(spec, file(unit))
			if err != nil || got.LogEvidence != plain.LogEvidence || got.LogPass != plain.LogPass || got.Phi != 0 || strings.Contains(written(t, got), "\nnoise ") {
				t.Errorf("%s, %s: phi %v, evidence %v and %v, without units %v and %v, %v", spec.Kind, name, got.Phi, got.LogEvidence, got.LogPass, plain.LogEvidence, plain.LogPass, err)
			}
		}
		got, lines, err := compared(spec, file(func(row int) string { return own(row % 1001) }))
		if err != nil || lines[24].Phi != 0 || lines[25].Phi < 1 || got.Phi < 1 || got.LogEvidence >= plain.LogEvidence {
			t.Errorf("%s, some come again: phi %v, then %v, evidence %v, without units %v, %v", spec.Kind, lines[24].Phi, lines[25].Phi, got.LogEvidence, plain.LogEvidence, err)
		}
	}
}

// TestNoiseOfMeans: an answer about a mean says what noise it reckons with, and on what condition it holds; that of a gauge has no such factor.
func TestNoiseOfMeans(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 1))
	text := users(1, true)(r)
	for _, tt := range []struct {
		head     string
		gauge    bool
		say, not string
	}{
		{"unit", false, "times that of independent values (by the baseline's units)", "independent of each other"},
		{"user", false, "noise       1.5 times that of independent values (assumed; a column unit would let it be measured)", "no noisier than that"},
		{"unit", true, "as calibrated on the baseline's units", "\nnoise "},
	} {
		got, _, err := compared(Spec{Kind: Mean, Direction: schemas.Increase, Margin: "any", Cap: 200, Gauge: tt.gauge}, strings.Replace(text, "unit", tt.head, 1))
		if err != nil {
			t.Fatal(err)
		}
		if page := written(t, got); !strings.Contains(page, tt.say) || strings.Contains(page, tt.not) || !tt.gauge && got.Measured && got.Phi < 3 {
			t.Errorf("%s, gauge %v: phi %v\n%s", tt.head, tt.gauge, got.Phi, page)
		}
	}
}

// TestMeansOfUnits: of a mean, too, units that have several values weigh by how alike these are, from the first window on, whether the file has samples or sums; where units have single values nothing is known of that.
func TestMeansOfUnits(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	var samples, sums, single strings.Builder
	samples.WriteString("window,arm,unit,value\n")
	sums.WriteString("window,arm,unit,n,sum,squares\n")
	single.WriteString("window,arm,unit,value\n")
	for w := range 20 {
		for user := range 24 {
			arm, x := []string{"baseline", "canary"}[user%2], math.Round(64*r.Float64())/64
			for range 8 {
				fmt.Fprintf(&samples, "%d,%s,u%d-%d,%v\n", w, arm, w, user, x)
			}
			fmt.Fprintf(&sums, "%d,%s,u%d-%d,8,%v,%v\n", w, arm, w, user, 8*x, 8*x*x)
			fmt.Fprintf(&single, "%d,%s,u%d-%d,%v\n", w, arm, w, user, x)
		}
	}
	spec := Spec{Kind: Mean, Direction: schemas.Increase, Margin: "0.1", Cap: 1}
	want, lines, err := compared(spec, samples.String())
	if err != nil || want.Phi < 6 || lines[0].Phi < 6 || lines[0].LogEvidence != 0 || lines[0].LogPass != 0 {
		t.Fatalf("phi %v at first, %v in the end, %v", lines[0].Phi, want.Phi, err)
	}
	got, _, err := compared(spec, sums.String())
	if err != nil || got.Phi != want.Phi || math.Abs(got.LogEvidence-want.LogEvidence) > 1e-3 || math.Abs(got.LogPass-want.LogPass) > 1e-3 {
		t.Errorf("of sums phi %v, evidence %v and %v, of samples %v, %v and %v, %v", got.Phi, got.LogEvidence, got.LogPass, want.Phi, want.LogEvidence, want.LogPass, err)
	}
	for _, text := range []string{samples.String(), sums.String()} {
		one, _, err := compared(spec, text[:strings.Index(text, "\n1,")+1])
		if err != nil || one.Verdict != schemas.StateInsufficient || !strings.Contains(one.Sentence, "Units have several rows, and the first windows of these tell the noise alone") {
			t.Errorf("one window: %s, %q, %v", one.Verdict, one.Sentence, err)
		}
	}
	alone, lines, err := compared(spec, single.String())
	if err != nil || alone.Phi != 1.5 || lines[0].LogPass == 0 {
		t.Errorf("units of one value: phi %v, %v of passing, %v", alone.Phi, lines[0].LogPass, err)
	}
	spec.Phi = 30
	stated, _, err := compared(spec, samples.String())
	unnamed, _, err2 := compared(spec, strings.Replace(samples.String(), "unit", "user", 1))
	if err != nil || err2 != nil || stated.Phi < 30 || unnamed.Phi != 30 || !strings.Contains(written(t, unnamed), "no noisier than that") {
		t.Errorf("phi 30: %v, without units %v, %v, %v\n%s", stated.Phi, unnamed.Phi, err, err2, written(t, unnamed))
	}
	spec.Gauge = true
	if _, _, err := compared(spec, samples.String()); err == nil || !strings.Contains(err.Error(), "phi is not of a gauge") {
		t.Errorf("phi of a gauge: %v", err)
	}
}

// TestUnitsOfManyMoveNoShare: what units of twenty do to the arms' sizes is no change of the split, where a column says which rows are a unit's.
func TestUnitsOfManyMoveNoShare(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 2))
	named, unnamed := strings.Builder{}, strings.Builder{}
	named.WriteString("window,arm,unit,n,events\n")
	unnamed.WriteString("window,arm,n,events\n")
	for w := range 150 {
		for i, arm := range []string{"baseline", "canary"} {
			for unit := range hits(r, []int{120, 30}[i], .5) {
				events := 20 * hits(r, 1, .02)
				fmt.Fprintf(&named, "%d,%s,%s%d.%d,20,%d\n", w, arm, arm, w, unit, events)
				fmt.Fprintf(&unnamed, "%d,%s,20,%d\n", w, arm, events)
			}
		}
	}
	changes := func(text string) int64 {
		sum, _, err := compared(Spec{Kind: Rate, Direction: schemas.Increase, Margin: "any", Phi: 1.5}, text)
		if err != nil {
			t.Fatal(err)
		}
		return sum.ShareChanges
	}
	if named, unnamed := changes(named.String()), changes(unnamed.String()); named > 1 || unnamed < 10 {
		t.Errorf("%d changes of the share where units are named, %d where they aren't; want none, and many", named, unnamed)
	}
}
