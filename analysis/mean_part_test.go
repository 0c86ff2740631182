package analysis

import (
	"math"
	"math/rand/v2"
	"testing"

	"streamcanary/windows"
)

// TestMeanNoiseOfParts: a segment's values vary at least as much as they do by themselves, and all that units add to the noise of all traffic may be its.
func TestMeanNoiseOfParts(t *testing.T) {
	of := func(n, sum, squares int64) *block {
		const unit, arm = windows.SumUnit, windows.Baseline
		b := &block{}
		b.n[arm], b.sum[arm], b.squares[arm] = n, sum*unit, squares*unit
		return b
	}
	measured := func(ratio bool, crowd meanCrowd) *meanNoise {
		crowd.random = rand.New(rand.NewPCG(7, 2))
		m := newMeanNoise(Options{}, 1.5, &traffic{ratio: .2}, ratio)
		for range 300 {
			p := crowd.window()
			m.look(p)
			m.add(&p.Cells[windows.Baseline][0])
		}
		return m
	}
	noisy, plain := measured(true, meanCrowd{users: 20, many: 10, alike: true, named: true}), measured(true, meanCrowd{users: 200, many: 1, named: true})
	revenue := measured(false, meanCrowd{users: 200, many: 1, named: true})
	for _, tt := range []struct {
		name string
		all  *meanNoise
		part *block
		want func(all float64) float64
	}{
		{"nothing seen", noisy, of(0, 0, 0), func(float64) float64 { return math.Inf(1) }},
		{"a tenth", noisy, of(6000, 3000, 3000), func(all float64) float64 { return 1 + (all-1)*10 }},
		{"a tenth of a quarter of the variance", noisy, of(6000, 0, 375), func(all float64) float64 { return 1 + (all-1)*40 }},
		{"all of it", noisy, of(60_000, 30_000, 30_000), func(all float64) float64 { return all }},
		{"single predictions", plain, of(6000, 3000, 3000), func(all float64) float64 { return all }},
		{"single predictions, nothing seen", plain, of(0, 0, 0), func(all float64) float64 { return all }},
		{"revenue", revenue, of(6000, 600, 60), func(all float64) float64 { return all }},
		{"revenue that varies more", revenue, of(6000, 0, 6000), func(float64) float64 { return 1 }},
		{"revenue, nothing seen", revenue, of(0, 0, 0), func(float64) float64 { return math.Inf(1) }},
	} {
		one := &partMean{from: 1}
		one.values.add(tt.part)
		got, want := one.arms(tt.all), tt.want(tt.all.arms()[0])
		if got != (armPhi{want, want}) && !(math.Abs(got[0]/want-1) < .01 && got[0] == got[1]) {
			t.Errorf("%s: %v, want %v", tt.name, got, want)
		}
	}
}

// TestPhiOfParts: all the noise that users of twenty make may be that of any segment; where nobody has two predictions, all have the same.
func TestPhiOfParts(t *testing.T) {
	for _, many := range []int{1, 20} {
		r := watching(rolloutOf(guardrail("g: mean score increase any from=prediction cap=1")), 0, "de", "us")
		r.Phi = 1.5
		s, random := newScript(t, r, Options{}), rand.New(rand.NewPCG(7, 3))
		for range 300 {
			s.verdict = s.judge.Step(partOf(random, s.atMs, many))
			s.atMs += s.judge.clock.widthMs
		}
		all := s.judge.Status()[0].Phi
		for _, part := range s.judge.Segments() {
			least, most := all, all
			if larger := map[string]float64{"de": 5, "us": 1.25}[part.Segment]; many > 1 {
				least, most = .8*(1+(all-1)*larger), 1.5*(1+(all-1)*larger) // by how much the few users of de happen to vary
			}
			if !(part.Phi >= least && part.Phi <= most) || many > 1 && all < 4.8 {
				t.Errorf("users of %d in de: phi of all %v, in %s %v, want %v to %v", many, all, part.Segment, part.Phi, least, most)
			}
		}
		if told := len(s.judge.Segments()); told != 2 {
			t.Errorf("users of %d in de: %d segments are told of, want 2", many, told)
		}
	}
}

// partOf is a window of 200 predictions, 40 of them of de, whose users send many each; a fifth of all users are the canary's.
func partOf(random *rand.Rand, startMs int64, many int) *windows.Part {
	p := &windows.Part{Stream: serving, StartMs: startMs}
	world := rowWorld{random: random}
	for _, of := range []struct {
		name        string
		users, many int
	}{{"de", 40 / many, many}, {"us", 160, 1}} {
		segment := windows.Segment{Name: of.name}
		var rows [windows.Arms]windows.Rows
		var cells [windows.Arms]windows.Cell
		for range of.users {
			arm := windows.Baseline
			if random.Float64() < .2 {
				arm = windows.Canary
			}
			p.Traffic[arm].Units = append(p.Traffic[arm].Units, windows.UnitSight{Unit: random.Uint64()})
			score, slice := random.Float64(), world.slice()
			for range of.many {
				if arm == windows.Baseline {
					rows[arm].Slice = append(rows[arm].Slice, slice)
				}
				cells[arm].AddValue(&rows[arm], int(cells[arm].N), windows.SumUnits(score, 1))
			}
		}
		for arm := range windows.Arms {
			c, n := &cells[arm], cells[arm].N
			segment.Served[arm], segment.Cells[arm] = n, []windows.Cell{*c}
			tr := &p.Traffic[arm]
			tr.Events, tr.Served, tr.SampledMin, tr.SampledMax = tr.Events+n, tr.Served+n, 1, 1
			if p.Cells[arm] == nil {
				p.Cells[arm] = make([]windows.Cell, 1)
			}
			all := &p.Cells[arm][0]
			all.N, all.Sum, all.Squares = all.N+n, all.Sum+c.Sum, all.Squares+c.Squares
			for i, s := range c.Slices {
				all.Slices[i].N += s.N
				all.Slices[i].Sum += s.Sum
				tr.Slices[i] += s.N
			}
		}
		p.Segments = append(p.Segments, segment)
	}
	return p
}
