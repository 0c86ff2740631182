package loadgen

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// least is the shortest scenario: nothing in it can be left out.
const least = `model m
baseline version v1
canary version v2
for 1m
rate 100/s
split 10%
latency fixed 5ms
expect no-rollback
`

// parseLeast parses the shortest scenario with further lines, of which the first is line 9.
func parseLeast(t *testing.T, further string) *Scenario {
	t.Helper()
	s, err := Parse("t.txt", least+further)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParseLeast(t *testing.T) {
	arm := func(version string) Arm {
		return Arm{Version: version, Hosts: 1, Latency: Law{Parts: []LawPart{{Share: 1, A: 5}}}}
	}
	want := &Scenario{
		Name: "t", Model: "m", StartMs: time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC).UnixMilli(), Duration: time.Minute, Seed: 1,
		Rate: Level{Base: 100}, Split: []Step{{0, 0.1}}, Units: Units{Phi: 1}, Arms: [Arms]Arm{arm("v1"), arm("v2")},
		Expect: Expect{Verdict: "no-rollback", Fail: []string{}, Pass: []string{}},
	}
	if got := parseLeast(t, ""); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// What the rows of statementRows look at and compare with.
var (
	both       = [Arms]bool{true, true}
	onlyCanary = [Arms]bool{Canary: true}
	fixed      = Law{Parts: []LawPart{{Share: 1, A: 5}}}
	second     = Law{Parts: []LawPart{{Share: 1, Kind: Exponential, A: 1000}}}
)

func canary(s *Scenario) any  { return s.Arms[Canary] }
func latency(s *Scenario) any { return s.Arms[Canary].Latency.Parts }
func faults(s *Scenario) any  { return s.Faults }

var statementRows = []struct {
	name, further string
	get           func(s *Scenario) any
	want          any
}{
	{"a comment is the story", "# Once upon a time # there was", func(s *Scenario) any { return s.Story }, "Once upon a time # there was"},
	{"start", "start 2025-10-09T09:00:00.5+02:00", func(s *Scenario) any { return s.StartMs }, int64(1759993200500)},
	{"seed", "seed 18446744073709551615", func(s *Scenario) any { return s.Seed }, uint64(math.MaxUint64)},
	{"a ramp", "split 25% at 10m\nsplit 0% at 1d12h", func(s *Scenario) any { return s.Split },
		[]Step{{0, 0.1}, {600e3, 0.25}, {36 * 3600e3, 0}}},
	{"users", "users 1000 sticky, phi 2 over 30s", func(s *Scenario) any { return s.Units },
		Units{Users: 1000, Sticky: true, Phi: 2, PhiOverMs: 30e3}},
	{"users alone", "users 7", func(s *Scenario) any { return s.Units }, Units{Users: 7, Phi: 1, PhiOverMs: 1}},
	{"sessions", "sessions of 5 every 100ms sticky phi 2.5", func(s *Scenario) any { return s.Units },
		Units{SessionOf: 5, SessionGap: 100, Sticky: true, Phi: 2.5}},
	{"round", "round 1ms", func(s *Scenario) any { return s.RoundMs }, 1.0},
	{"an arm of its own", "errors 1%\ncanary errors 2% taking fixed 5ms, drift 30% over 1h, trend -50% over 30m\n" +
		"canary timeouts 0.5% after 2s\ncanary hosts 3 named fresh\ncanary segments web 60%, ios 40%",
		canary, Arm{
			Version: "v2", Hosts: 3, HostName: "fresh", Latency: fixed, ErrorLatency: &fixed,
			Errors:   Level{0.02, Drift{0.3, 3600e3, -0.5, 1800e3}},
			Timeouts: Level{Base: 0.005}, TimeoutMs: 2000, Segments: []Segment{{"web", 0.6}, {"ios", 0.4}},
		}},
	{"outcomes and samples, one overridden", "outcome click 5% after exponential 1s\noutcome buy 1% after exponential 1s drift 10% over 1h\n" +
		"canary outcome click 4% after exponential 1s\nsample cpu 50% every 10s noise 5% correlation 0.9",
		canary, Arm{
			Version: "v2", Hosts: 1, Latency: fixed,
			Outcomes: []Outcome{{"click", Level{Base: 0.04}, second}, {"buy", Level{0.01, Drift{Amplitude: 0.1, PeriodMs: 3600e3}}, second}},
			Samples:  []Sample{{"cpu", Level{Base: 0.5}, 0.05, 0.9, 10e3}},
		}},
	{"transport", "transport delay fixed 5ms, late 1% by exponential 1s, duplicates 2% after fixed 5ms, lost 3%, broken 4%",
		func(s *Scenario) any { return s.Arms[Baseline].Transport },
		Transport{Delay: fixed, Late: 0.01, LateBy: second, Duplicates: 0.02, DuplicateAfter: fixed, Lost: 0.03, Broken: 0.04}},
	{"a mixture", "canary latency hit 80% uniform 1ms..3ms | miss 20% pareto 10ms exponent 2, trend +50% over 1h", latency,
		[]LawPart{{Share: 0.8, Kind: Uniform, A: 1, B: 3, Cache: CacheHit}, {Share: 0.2, Kind: Pareto, A: 10, B: 2, Cache: CacheMiss}}},
	{"a tail", "canary latency exponential 10ms tail 5% pareto 3", latency,
		[]LawPart{{Share: 1, Kind: Exponential, A: 10, TailShare: 0.05, TailExponent: 3, cut: -10 * math.Log1p(-0.95)}}},
	{"faults", "fault errors canary +2pp from 10s until 20s over 5s\nfault latency both x1.5 tail from 10s\nfault latency canary -2ms from 0s\n" +
		"fault silent canary from 10s\nfault timeouts both =100% from 10s\nfault rate both x2 from 10s",
		faults, []Fault{
			{"errors", onlyCanary, Add, 0.02, false, 10e3, 20e3, 5e3, "errors canary +2pp from 10s until 20s over 5s"},
			{"latency", both, Times, 1.5, true, 10e3, math.Inf(1), 0, "latency both x1.5 tail from 10s"},
			{"latency", onlyCanary, Add, -2, false, 0, math.Inf(1), 0, "latency canary -2ms from 0s"},
			{"silent", onlyCanary, 0, 0, false, 10e3, math.Inf(1), 0, "silent canary from 10s"},
			{"timeouts", both, Set, 1, false, 10e3, math.Inf(1), 0, "timeouts both =100% from 10s"},
			{"rate", both, Times, 2, false, 10e3, math.Inf(1), 0, "rate both x2 from 10s"},
		}},
}

func TestParseStatements(t *testing.T) {
	for _, row := range statementRows {
		t.Run(row.name, func(t *testing.T) {
			text := least
			if strings.Contains(row.further, "canary latency") {
				text = strings.Replace(least, "latency fixed", "baseline latency fixed", 1)
			}
			s, err := Parse("t.txt", text+row.further)
			if err != nil {
				t.Fatal(err)
			}
			if got := row.get(s); !reflect.DeepEqual(got, row.want) {
				t.Errorf("got  %+v\nwant %+v", got, row.want)
			}
		})
	}
}

// long is a name of one byte too many.
var long = strings.Repeat("x", 129)

// many puts together n texts.
func many(n int, f func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(f(i))
	}
	return b.String()
}

// name is one of many different names.
func name(i int) string { return "n" + strings.Repeat("x", i) }

// lineErrors are lines after the shortest scenario, of which the first is line 9, and how the error begins.
var lineErrors = []struct{ further, want string }{
	{"latncy fixed 5ms", `t.txt:9: unknown word "latncy" (nearest: "latency"); allowed: baseline, canary, model, start,`},
	{"\n# a comment\nzzz", `t.txt:11: unknown word "zzz"; allowed: baseline,`},
	{"canary", `t.txt:9: the line ends where a statement about this arm should be`},
	{"canary rate 5/s", `t.txt:9: "rate" is about the whole scenario, not about an arm (usage: rate`},
	{"version v3", `t.txt:9: "version" needs baseline or canary in front`},
	{"rate 5/s", `t.txt:9: rate was said before, on line 5`},
	{"canary errors 1%\nerrors 2%", `t.txt:10: errors for both arms has to stand before canary errors on line 9, which it would undo`},
	{"canary errors 1%\ncanary errors 2%", `t.txt:10: canary errors was said before, on line 9`},
	{"outcome a 1% after fixed 1s\noutcome a 1% after fixed 1s", `t.txt:10: outcome a was said before, on line 9`},
	{"sample a 1% every 1s\nsample a 1% every 1s", `t.txt:10: sample a was said before, on line 9`},
	{"seed 1 2", `t.txt:9: nothing may follow here, but "2" does`},
	{"seed 0", `t.txt:9: "0" is no seed: want a whole number from 1 to 18446744073709551615`},
	{"seed 1.5", `t.txt:9: "1.5" is no seed`},
	{"seed 0x10", `t.txt:9: "0x10" is no seed`},
	{"seed", `t.txt:9: the line ends where a seed should be`},
	{"start yesterday", `t.txt:9: "yesterday" is no time from 1971 to 9000 like 2026-01-05T09:00:00Z`},
	{"start", `t.txt:9: the line ends where a time should be`},
	{"split 20%", `t.txt:9: a split has to begin after the one before it`},
	{"split 120% at 1m", `t.txt:9: "120%" is no canary's share: want a percentage from 0% to 100%`},
	{"split 0.2 at 1m", `t.txt:9: "0.2" is no canary's share`},
	{"split +2% at 1m", `t.txt:9: "+2%" is no canary's share`},
	{"split 20% at soon", `t.txt:9: "soon" is no time: want a duration from 0s to 400d, like 250ms, 10m or 1d`},
	{"split 20% at 401d", `t.txt:9: "401d" is no time`},
	{"split 20% at -1s", `t.txt:9: "-1s" is no time`},
	{"split 20% when 1m", `t.txt:9: unknown word "when"; allowed: at`},
	{many(MaxSteps, func(i int) string { return "split 1% at " + (time.Duration(i+1) * time.Second).String() + "\n" }), `t.txt:264: more than 256 splits`},
	{"users 0", `t.txt:9: "0" is no number of users`},
	{"users 5 phi 2", `t.txt:9: the line ends where "over" should be`},
	{"users 5 phi 0.5 over 1m", `t.txt:9: "0.5" is no phi: want a number from 1 to 1e+06`},
	{"users 5 phi 2 per 1m", `t.txt:9: unknown word "per"; allowed: over`},
	{"users 5 phi 2 over never", `t.txt:9: "never" is no duration`},
	{"users 5 sticky twice", `t.txt:9: nothing may follow here, but "twice" does`},
	{"users 100 phi 3 over 1s", `t.txt:9: phi 3 can't be: a unit's requests give at most 2`},
	{"sessions of 2 every 1s phi 3.1", `t.txt:9: phi 3.1 can't be: a unit's requests give at most 3`},
	{"users 5\nsessions of 2 every 1s", `t.txt:10: units are users already, on line 9`},
	{"sessions of 2 every 1s\nusers 5", `t.txt:10: units are sessions already, on line 9`},
	{"sessions 2", `t.txt:9: unknown word "2"; allowed: of`},
	{"sessions of 0 every 1s", `t.txt:9: "0" is no mean number of requests`},
	{"sessions of 2 each 1s", `t.txt:9: unknown word "each"; allowed: every`},
	{"sessions of 2 every 0s", `t.txt:9: "0s" is no gap: want a duration from 1ms`},
	{"sessions of 100 every 1m", `t.txt:9: such sessions last longer than 10m0s on average`},
	{"round 0ms", `t.txt:9: "0ms" is no granularity`},
	{"errors", `t.txt:9: the line ends where share of errors should be`},
	{"errors 1", `t.txt:9: "1" is no share of errors`},
	{"errors NaN%", `t.txt:9: "NaN%" is no share of errors`},
	{"errors 1% takng fixed 5ms", `t.txt:9: unknown word "takng" (nearest: "taking"); allowed: drift, taking, trend`},
	{"errors 1% taking 5ms", `t.txt:9: unknown word "5ms"; allowed: fixed, exponential, uniform, lognormal, pareto`},
	{"errors 1% drift 1% over 1m drift 1% over 1m", `t.txt:9: unknown word "drift"; allowed: taking, trend`},
	{"errors 1% drift", `t.txt:9: the line ends where a percentage should be`},
	{"errors 1% drift 101% over 1m", `t.txt:9: "101%" is no drift: want a percentage from 0% to 100%`},
	{"errors 1% drift 10%", `t.txt:9: the line ends where "over" should be`},
	{"errors 1% trend 10% over 1m", `t.txt:9: "10%" is no trend: want a percentage with its sign, from -100% to +10000%`},
	{"errors 1% trend % over 1m", `t.txt:9: "%" is no trend`},
	{"timeouts 1% after 0s", `t.txt:9: "0s" is no duration: want a duration from 1ms`},
	{"timeouts x", `t.txt:9: "x" is no share of timeouts`},
	{"outcome", `t.txt:9: the line ends where the name of an outcome should be`},
	{"outcome a/b 1% after fixed 1s", `t.txt:9: "a/b" is no name of an outcome: letters, digits, '.', '_' and '-' only`},
	{"outcome " + long + " 1% after fixed 1s", `t.txt:9: the name of an outcome has 129 bytes; at most 128`},
	{"outcome errors 1% after fixed 1s", `t.txt:9: the name "errors" is taken`},
	{"sample a 1% every 1s\noutcome a 1% after fixed 1s", `t.txt:10: the name "a" is taken`},
	{"outcome a 1% after fixed 1s\nsample a 1% every 1s", `t.txt:10: the name "a" is taken`},
	{"outcome a", `t.txt:9: the line ends where share of predictions should be`},
	{"outcome a 1%", `t.txt:9: the line ends where "after" should be`},
	{"outcome a 1% after", `t.txt:9: the line ends where one of fixed, exponential,`},
	{"outcome a 1% after fixed 1s soon", `t.txt:9: unknown word "soon"; allowed: drift, trend`},
	{many(MaxOutcomes+1, func(i int) string { return "outcome " + name(i) + " 1% after fixed 1s\n" }), `t.txt:17: more than 8 outcomes`},
	{many(MaxSamples+1, func(i int) string { return "sample " + name(i) + " 1% every 1s\n" }), `t.txt:17: more than 8 samples`},
	{"outcome a 1% after lognormal 1s", `t.txt:9: the line ends where "sigma" should be`},
	{"outcome a 1% after lognormal 0s sigma 1", `t.txt:9: "0s" is no median`},
	{"outcome a 1% after lognormal 1s sigma 0", `t.txt:9: "0" is no sigma: want a number from 0.01 to 5`},
	{"outcome a 1% after pareto 1s exponent -1", `t.txt:9: "-1" is no exponent`},
	{"outcome a 1% after pareto 0s exponent 1", `t.txt:9: "0s" is no least value`},
	{"outcome a 1% after exponential 0s", `t.txt:9: "0s" is no mean`},
	{"outcome a 1% after uniform", `t.txt:9: the line ends where a range should be`},
	{"outcome a 1% after uniform 5s..5s", `t.txt:9: "5s..5s" is no range: want one like 5s..30s`},
	{"outcome a 1% after fixed 1s tail 1% pareto 2", `t.txt:9: a fixed law has no tail`},
	{"outcome a 1% after exponential 1s tail 51% pareto 2", `t.txt:9: a tail of 51%: want more than 0% and at most 50%`},
	{"outcome a 1% after exponential 1s tail 1% lognormal 2", `t.txt:9: unknown word "lognormal"; allowed: pareto`},
	{"outcome a 1% after exponential 1s tail x", `t.txt:9: "x" is no share of the tail`},
	{"outcome a 1% after 50% fixed 1s | fixed 2s", `t.txt:9: the shares of the law's parts sum to 50%, not to 100%`},
	{"outcome a 1% after 5x% fixed 1s", `t.txt:9: "5x%" is no share`},
	{"outcome a 1% after fixed 1s" + strings.Repeat(" | fixed 1s", MaxParts), `t.txt:9: a law of more than 16 parts`},
	{"hosts 0", `t.txt:9: "0" is no number of hosts: want a number from 1 to 1000`},
	{"hosts 1.5", `t.txt:9: 1.5 hosts: want a whole number`},
	{"hosts 2 name b", `t.txt:9: unknown word "name" (nearest: "named"); allowed: named`},
	{"hosts 2 named", `t.txt:9: the line ends where the name of a host should be`},
	{"hosts 2 named a/b", `t.txt:9: "a/b" is no name of a host: letters, digits, '.', '_' and '-' only`},
	{"hosts 2 named b c", `t.txt:9: nothing may follow here, but "c" does`},
	{"segments", `t.txt:9: the line ends where the name of a segment should be`},
	{"segments a", `t.txt:9: the line ends where share should be`},
	{"segments a 50% a 50%", `t.txt:9: segment "a" stands here twice`},
	{"segments a 60% b 50%", `t.txt:9: the shares of the segments sum to 110%, not to 100%`}, // in floats 110.00000000000001
	{"segments a 50% b 51%", `t.txt:9: the shares of the segments sum to 101%, not to 100%`},
	{"segments" + many(MaxSegments+1, func(i int) string { return " s" + strings.Repeat("i", i%100) + strings.Repeat("j", i/100) + " 0.1%" }),
		`t.txt:9: more than 200 segments`},
	{"sample", `t.txt:9: the line ends where the name of a sample should be`},
	{"sample a 0.5 every 1s", `t.txt:9: "0.5" is no level`},
	{"sample a 5%", `t.txt:9: the line ends where "every" should be`},
	{"sample a 5% every 0s", `t.txt:9: "0s" is no duration`},
	{"sample a 5% every 1s correlation 1", `t.txt:9: "1" is no correlation: want a number from 0 to 0.999999`},
	{"sample a 5% every 1s nose 1%", `t.txt:9: unknown word "nose" (nearest: "noise"); allowed: correlation, drift, noise, trend`},
	{"transport", `t.txt:9: the line ends where one of delay, late, duplicates, lost, broken should be`},
	{"transport dely fixed 1s", `t.txt:9: unknown word "dely" (nearest: "delay"); allowed: delay, late, duplicates, lost, broken`},
	{"transport lost 1% lost 1%", `t.txt:9: unknown word "lost"; allowed: delay, late, duplicates, broken`},
	{"transport late 1%", `t.txt:9: the line ends where "by" should be`},
	{"transport late 1% by 5s", `t.txt:9: unknown word "5s"; allowed: fixed,`},
	{"transport duplicates x", `t.txt:9: "x" is no share of events`},
	{"transport broken 2", `t.txt:9: "2" is no share of broken events`},
	{"fault", `t.txt:9: the line ends where what breaks should be`},
	{"fault errors", `t.txt:9: the line ends where one of baseline, canary, both should be`},
	{"fault eror canary +1pp from 1s", `t.txt:9: unknown word "eror" (nearest: "errors"); allowed: errors, latency, rate, silent, timeouts`},
	{"outcome click 1% after fixed 1s\nfault clik canary +1pp from 1s", `t.txt:10: unknown word "clik" (nearest: "click"); allowed: click, errors,`},
	{"fault errors cannary +1pp from 1s", `t.txt:9: unknown word "cannary" (nearest: "canary"); allowed: baseline, canary, both`},
	{"fault errors canary", `t.txt:9: the line ends where a change should be`},
	{"fault errors canary 2pp from 1s", `t.txt:9: "2pp" is no change of a share: want +2pp, -1pp, =100% or x1.5`},
	{"fault errors canary +2% from 1s", `t.txt:9: "+2%" is no change of a share`},
	{"fault errors canary x-1 from 1s", `t.txt:9: "x-1" is no change of a share`},
	{"fault latency canary +2pp from 1s", `t.txt:9: "+2pp" is no change of a latency: want x1.5, +20ms or -20ms`},
	{"fault latency canary =2ms from 1s", `t.txt:9: "=2ms" is no change of a latency`},
	{"fault latency canary x0.5 tail from 1s", `t.txt:9: only a latency has a tail, and it can only grow by a factor of 1 or more`},
	{"fault errors canary x2 tail from 1s", `t.txt:9: only a latency has a tail`},
	{"fault silent canary +2pp from 1s", `t.txt:9: unknown word "+2pp"; allowed: from`},
	{"fault silent canary from 1s over 2s", `t.txt:9: a fault that is silence or sets a value comes at once, not over a time`},
	{"fault errors canary =5% from 1s over 2s", `t.txt:9: a fault that is silence or sets a value comes at once`},
	{"fault errors canary +2pp", `t.txt:9: the line ends where "from" should be`},
	{"fault errors canary +2pp from 1m", `t.txt:9: the fault lies beyond the scenario's end at 1m0s`},
	{"fault errors canary +2pp from 1s until 61s", `t.txt:9: the fault lies beyond the scenario's end at 1m0s`},
	{"fault errors canary +2pp from 10s until 5s", `t.txt:9: the fault ends before it begins`},
	{"fault errors canary +2pp from 10s over 0s", `t.txt:9: "0s" is no duration`},
	{"fault rate canary x2 from 1s", `t.txt:9: a fault of the rate is for both arms, and a factor like x2`},
	{"fault rate both +2pp from 1s", `t.txt:9: a fault of the rate is for both arms`},
	{strings.Repeat("fault errors canary +1pp from 1s\n", MaxFaults+1), `t.txt:73: more than 64 faults`},
	{"canary version", `t.txt:9: canary version was said before, on line 3`},
	{strings.Repeat("#", MaxText), `t.txt: 65647 bytes; a scenario has at most 65536`},
}

func TestParseErrors(t *testing.T) {
	for _, row := range lineErrors {
		_, err := Parse("t.txt", least+row.further)
		if err == nil || !strings.HasPrefix(err.Error(), row.want) {
			t.Errorf("%.60q: got %v\nwant %s…", row.further, err, row.want)
		}
	}
}

// TestParseWholeErrors replaces a line of the shortest scenario.
func TestParseWholeErrors(t *testing.T) {
	rows := []struct{ old, with, want string }{
		{"model m\n", "", `t.txt: "model" is missing`},
		{"baseline version v1\n", "", `t.txt: "baseline version" is missing`},
		{"canary version v2\n", "", `t.txt: "canary version" is missing`},
		{"for 1m\n", "", `t.txt: "for" is missing`},
		{"rate 100/s\n", "", `t.txt: "rate" is missing`},
		{"split 10%\n", "", `t.txt: "split" is missing`},
		{"latency fixed 5ms\n", "", `t.txt: "latency" is missing`},
		{"latency fixed 5ms\n", "canary latency fixed 5ms\n", `t.txt: "latency" is missing`},
		{"expect no-rollback\n", "", `t.txt: "expect" is missing`},
		{"version v2", "version v1", `t.txt: baseline and canary are the same version "v1"`},
		{"split 10%", "split 10% at 1s", `t.txt:6: the first split has to begin at 0s`},
		{"rate 100/s", "rate 100", `t.txt:5: "100" is no rate: want a number above 0 and up to 1e+07, like 1000/s`},
		{"rate 100/s", "rate 0/s", `t.txt:5: "0/s" is no rate`},
		{"rate 100/s", "rate 100/s fast", `t.txt:5: unknown word "fast"; allowed: drift, trend`},
		{"rate 100/s", "rate", `t.txt:5: the line ends where a rate should be`},
		{"for 1m", "for 0s", `t.txt:4: "0s" is no duration: want a duration from 1ms`},
		{"for 1m", "for ever", `t.txt:4: "ever" is no duration`},
		{"for 1m", "for 1d-1h", `t.txt:4: "1d-1h" is no duration`},
		{"model m", "model", `t.txt:1: the line ends where the name of a model should be`},
		{"no-rollback", "rolback", `t.txt:8: unknown word "rolback" (nearest: "rollback"); allowed: rollback, promote, hold, no-rollback`},
		{"no-rollback", "rollback", `t.txt:8: a rollback has to name what must fail`},
		{"no-rollback", "rollback errors", `t.txt:8: unknown word "errors"; allowed: fail, pass`},
		{"no-rollback", "rollback fail p9", `t.txt:8: unknown word "p9" (nearest: "p99"); allowed: fail, pass, errors, outage,`},
		{"no-rollback", "rollback fail p99 pass p99", `t.txt:8: p99 can't both fail and pass`},
	}
	for _, row := range rows {
		_, err := Parse("t.txt", strings.Replace(least, row.old, row.with, 1))
		if err == nil || !strings.HasPrefix(err.Error(), row.want) {
			t.Errorf("%q: got %v\nwant %s…", row.with, err, row.want)
		}
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mine.txt")
	if err := os.WriteFile(path, []byte(least), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(path)
	if err != nil || s.Name != "mine" {
		t.Errorf("Load(%s) = %+v, %v", path, s, err)
	}
	for name, want := range map[string]string{
		"helthy":       `read scenario: unknown name "helthy" (nearest: "healthy"); there are: cpu, ctr-drop,`,
		"/no/such.txt": `read scenario: open /no/such.txt: no such file`,
		"":             `read scenario: unknown name ""; there are: `,
	} {
		if _, err := Load(name); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("Load(%q): got %v\nwant %s…", name, err, want)
		}
	}
}

func TestEveryScenarioTellsItsStory(t *testing.T) {
	for _, name := range Names() {
		s, err := Load(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if s.Name != name || len(s.Story) < 20 {
			t.Errorf("%s: name %q, story %q", name, s.Name, s.Story)
		}
	}
}

// FuzzParse: whatever the text, there is an error or a scenario that can be run.
func FuzzParse(f *testing.F) {
	f.Add(least)
	for _, name := range Names() {
		text, err := embedded.ReadFile("scenarios/" + name + ".txt")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("t.txt", text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "t.txt:") {
				t.Errorf("an error without its place: %v", err)
			}
			return
		}
		s.Duration = min(s.Duration, time.Second)
		if s.Units.SessionOf*s.Units.SessionGap*s.Rate.Base > 1e6 || len(s.Split) > 10 {
			return
		}
		s.Truth(0)
		g, last := New(s, 1), int64(0)
		var r Record
		for i := 0; i < 200 && g.Next(&r); i++ {
			if r.ArrivalMs < last || r.ArrivalMs < r.Event.TimeMs {
				t.Fatalf("event %d arrives at %d, after %d, of time %d", i, r.ArrivalMs, last, r.Event.TimeMs)
			}
			last = r.ArrivalMs
		}
	})
}
