package analysis

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// An input is a healthy rollout's traffic that arrives as it does in life: hosts stall for some windows and their events come late,
// producers that forget the latency or write junk do so for a while, outcomes get lost in clumps. The canary has harms of its own where told.
type input struct {
	world    world
	hosts    int     // of the baseline; 0: events name none
	stalls   float64 // chance of a host to begin a stall in a window; it lasts 5 on average
	common   bool    // stalls are the whole source's
	forgets  float64 // share without a latency, by users that stay 10 windows
	junk     float64 // bad events in a window, in clumps of 20
	lost     float64 // share of outcomes that find no prediction, in clumps of 5
	versions bool    // outcomes name versions
	// What is wrong from window `from` on.
	from                             int
	late, forgetful, junkMore, loses float64 // the canary's share on top; junk: clumps per window on top

	stalled map[string]bool
	users   [windows.Slices + 1]int64
}

const (
	inputRequests = 1000
	inputShare    = .1
)

// parts makes window t: its serving part and that of the clicks.
func (in *input) parts(t int) []*windows.Part {
	at := startMs + int64(t)*1000
	serving := &windows.Part{Stream: servingStream, StartMs: at}
	wrong := t >= in.from
	for arm, n := range [windows.Arms]int64{inputRequests * (1 - inputShare), inputRequests * inputShare} {
		tr := windows.Traffic{Events: n, Served: n, SampledMin: 1, SampledMax: 1}
		in.lateness(&tr, windows.Arm(arm), wrong)
		serving.Traffic[arm] = tr
		cell := in.forgotten(windows.Arm(arm), n, wrong)
		serving.Cells[arm] = []windows.Cell{{}, {}, cell} // latency, its half, no_latency
	}
	clumps := in.world.poisson0(in.junk / 20)
	if wrong {
		clumps += in.world.poisson0(in.junkMore)
	}
	serving.Bad = in.world.poisson0(20 * float64(clumps))
	return []*windows.Part{serving, in.clicks(at, wrong)}
}

func (w *world) poisson0(mean float64) int64 {
	if mean <= 0 {
		return 0
	}
	return w.poisson(mean)
}

func (in *input) lateness(tr *windows.Traffic, arm windows.Arm, wrong bool) {
	hosts := max(1, in.hosts)
	if arm == windows.Canary {
		hosts = max(1, in.hosts/6)
	}
	extra := 0.
	if wrong && arm == windows.Canary {
		extra = in.late
	}
	each := tr.Events / int64(hosts)
	for h := range hosts {
		name := fmt.Sprintf("%s-%02d", [...]string{"b", "c"}[arm], h)
		state := name
		if in.common {
			state = "all"
		}
		if !in.common || arm == windows.Baseline {
			r := in.world.random.Float64()
			in.stalled[state] = in.stalled[state] && r > .2 || r < in.stalls
		}
		share := .001 + extra
		if in.stalled[state] {
			share += .5
		}
		late := in.world.binomial(each, share)
		tr.Late += late
		if in.hosts > 0 {
			tr.Hosts = append(tr.Hosts, windows.HostCount{Host: name, Events: each, Late: late})
		}
	}
}

// forgotten is the cell of predictions without a latency.
func (in *input) forgotten(arm windows.Arm, n int64, wrong bool) (cell windows.Cell) {
	const stay, burst = 10, .5
	place := func(i int, n, rate float64) int64 {
		in.users[i] += in.world.poisson0(n * rate / burst / stay)
		k := in.world.poisson0(float64(in.users[i]) * burst)
		in.users[i] -= in.world.binomial(in.users[i], 1./stay)
		return min(k, int64(n))
	}
	cell.N = n
	if arm == windows.Canary {
		rate := in.forgets
		if wrong {
			rate += in.forgetful
		}
		cell.K = place(windows.Slices, float64(n), rate)
		return cell
	}
	for i := range cell.Slices {
		part := math.Round(float64(n) / math.Exp2(float64(min(i+1, windows.Slices-1))))
		cell.Slices[i] = windows.SliceCount{N: int64(part), K: place(i, part, in.forgets)}
		cell.K += cell.Slices[i].K
	}
	return cell
}

func (in *input) clicks(at int64, wrong bool) *windows.Part {
	p := &windows.Part{Stream: windows.Stream{Kind: windows.Outcomes, Name: "click"}, StartMs: at}
	for arm, n := range [windows.Arms]int64{180, 20} {
		p.Cells[arm] = []windows.Cell{{N: 5 * n, K: n / 4}}
		lost := in.lost
		if wrong && arm == int(windows.Canary) {
			lost += in.loses
		}
		k := min(n, 5*in.world.poisson0(float64(n)*lost/5))
		g := windows.JoinGap{Matched: n - k, Unmatched: k}
		if in.versions {
			p.Gap[arm] = g
		} else {
			p.Source.Matched, p.Source.Unmatched = p.Source.Matched+g.Matched, p.Source.Unmatched+g.Unmatched
		}
	}
	return p
}

func inputRollout() *schemas.Rollout {
	r := rolloutOf(guardrail("p99: quantile 0.99 latency increase 20%"), guardrail("ctr: rate click decrease 2% optional"))
	r.Outcomes = []schemas.OutcomeSpec{{Name: "click", Within: time.Minute}}
	r.Phi, r.Stages[0].Max, r.Health.Unmatched, r.Health.Traffic = 1.5, 24*time.Hour, .05, schemas.OnWarn
	return r
}

// first is the window in which each code was first found.
func (in *input) first(random *rand.Rand, total int) map[string]int {
	in.world.random, in.stalled = random, map[string]bool{}
	j, found := NewJudge(inputRollout(), Options{NoIntervals: true}), map[string]int{}
	for t := range total {
		for _, p := range in.parts(t) {
			for _, f := range j.Step(p).Health {
				if _, known := found[f.Code]; !known {
					found[f.Code] = t
				}
			}
		}
	}
	return found
}

// TestSimInputHealthy: no check finds anything in healthy traffic beyond its alpha, however the noise comes in clumps and stays, from the first
// window on.
func TestSimInputHealthy(t *testing.T) {
	runs, total := size(10, 400), size(200, 2000)
	for _, w := range []struct {
		name string
		in   input
	}{
		{"quiet", input{hosts: 12, versions: true}},
		{"hosts stall", input{hosts: 12, stalls: .01, forgets: .02, junk: 2, lost: .05, versions: true}},
		{"few hosts stall", input{hosts: 6, stalls: .02, forgets: .2, junk: .5, lost: .02, versions: true}},
		{"the source stalls, and names no hosts", input{stalls: .02, common: true, forgets: .002, junk: 5, lost: .02}},
	} {
		found := map[string]int{}
		all := make([]map[string]int, runs)
		inParallel(runs, func(i int, random *rand.Rand) {
			in := w.in
			all[i] = in.first(random, total)
		})
		for _, codes := range all {
			for code := range codes {
				found[code]++
			}
		}
		t.Logf("%-38s %v of %d runs", w.name, found, runs)
		for code, n := range found {
			if limit := binomialLimit(runs, .001); n > limit {
				t.Errorf("%s: %s found in %d of %d runs, the limit is %d", w.name, code, n, runs, limit)
			}
		}
	}
}

// TestSimInputIll: what is wrong is found, and how soon.
func TestSimInputIll(t *testing.T) {
	const from = 300
	runs := size(3, 200)
	base := input{hosts: 12, stalls: .005, forgets: .02, junk: 1, lost: .03, versions: true, from: from}
	for _, w := range []struct {
		name, code string
		set        func(in *input)
		worst      int // median windows
	}{
		{"a fifth of the canary late", codeLate, func(in *input) { in.late = .2 }, 500},
		{"a fifth of the canary late, no hosts", codeLate, func(in *input) { in.hosts, in.stalls, in.late = 0, 0, .2 }, 400},
		{"a tenth of the canary without latency", codeNoLatency, func(in *input) { in.forgetful = .1 }, 200},
		{"5 % of all events bad", codeBadEvents, func(in *input) { in.junkMore = 2.5 }, 50},
		{"1 % of all events bad, before none", codeBadEvents, func(in *input) { in.junk, in.junkMore = 0, .45 }, 500},
		{"a fifth of the canary's clicks lost", codeJoinGap, func(in *input) { in.loses = .2 }, 150},
		{"all of the canary's clicks lost, no versions", codeJoinGap, func(in *input) { in.loses, in.versions = 1, false }, 60},
	} {
		delays := make([]int, runs)
		inParallel(runs, func(i int, random *rand.Rand) {
			in := base
			w.set(&in)
			at, found := in.first(random, from+900)[w.code]
			if delays[i] = at - from + 1; !found {
				delays[i] = math.MaxInt
			}
		})
		slices.Sort(delays)
		early, _ := slices.BinarySearch(delays, 1)
		t.Logf("%-46s median %d windows of %d runs, 90 %% within %d", w.name, delays[runs/2], runs, delays[runs*9/10])
		if delays[runs/2] > w.worst || early > binomialLimit(runs, .001) {
			t.Errorf("%s: median %d windows, want at most %d; %d found too early", w.name, delays[runs/2], w.worst, early)
		}
	}
}
