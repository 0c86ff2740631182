package analysis

import (
	"math"
	"math/rand/v2"
	"testing"

	"streamcanary/windows"
)

// meanCrowd makes windows of a baseline, whose users send so many predictions each, of a score of 0 or 1.
type meanCrowd struct {
	users, many int
	alike       bool // a user's are the same
	named       bool // and new in each window
	random      *rand.Rand
}

func (c *meanCrowd) window() *windows.Part {
	p := &windows.Part{Stream: serving}
	t := &p.Traffic[windows.Baseline]
	var cell windows.Cell
	var rows windows.Rows
	world := rowWorld{random: c.random}
	for range c.users {
		if c.named {
			t.Units = append(t.Units, windows.UnitSight{})
		}
		slice, score := world.slice(), float64(c.random.IntN(2))
		for range c.many {
			if !c.alike {
				score = float64(c.random.IntN(2))
			}
			if !c.named {
				slice = world.slice()
			}
			rows.Slice = append(rows.Slice, slice)
			cell.AddValue(&rows, len(rows.Slice)-1, windows.SumUnits(score, 1))
		}
	}
	t.Served, p.Cells[windows.Baseline] = int64(c.users*c.many), []windows.Cell{cell}
	return p
}

// TestMeanNoise: from the first window on that has units with several predictions phi is what their sizes allow, until the mean has shown its own. Of single ones it is the prior, as it was, and
// what is known isn't measured.
func TestMeanNoise(t *testing.T) {
	type span [2]float64
	for _, tt := range []struct {
		name            string
		crowd           meanCrowd
		known           float64
		blind           bool
		one, some, last span // after the first window, after 29, and in the end
	}{
		{"single predictions", meanCrowd{users: 200, many: 1, named: true}, 0, false, span{1.5, 1.5}, span{1.5, 1.5}, span{1, 3}},
		{"users of ten who are alike", meanCrowd{users: 20, many: 10, alike: true, named: true}, 0, true, span{7, 60}, span{7, 200}, span{10, 30}},
		{"users of ten who aren't", meanCrowd{users: 20, many: 10, named: true}, 0, true, span{7, 60}, span{7, 200}, span{1, 2}},
		{"users of ten without a name", meanCrowd{users: 20, many: 10, alike: true}, 0, false, span{1.5, 1.5}, span{1.5, 1.5}, span{1, 2}},
		{"what is known", meanCrowd{users: 20, many: 10, alike: true, named: true}, 3, false, span{3, 3}, span{3, 3}, span{3, 3}},
	} {
		tt.crowd.random = rand.New(rand.NewPCG(7, 1))
		m := newMeanNoise(Options{Phi: tt.known}, 1.5, &traffic{ratio: .2}, true)
		for at := range 2000 {
			p := tt.crowd.window()
			m.look(p)
			if blind := tt.blind && at == 0; m.blind() != blind {
				t.Errorf("%s: blind %v in window %d", tt.name, m.blind(), at)
			}
			m.add(&p.Cells[windows.Baseline][0])
			if want, asked := map[int]span{0: tt.one, 28: tt.some, 1999: tt.last}[at]; asked {
				if phi := m.arms(); !(phi[0] >= want[0] && phi[0] <= want[1]) || phi[0] != phi[1] {
					t.Errorf("%s: phi %v after %d windows, want %v", tt.name, phi, at+1, want)
				}
			}
		}
	}
}

// TestMeanScores: each contrast shows how much noisier a sum is where some users have twenty predictions, whose scores are the same, however few users its slices have.
func TestMeanScores(t *testing.T) {
	const runs, users, heavy = 10_000, 600, 8
	random := rand.New(rand.NewPCG(7, 5))
	world := rowWorld{random: random}
	var u, v [meanContrasts]float64
	for range runs {
		var cell windows.Cell
		var rows windows.Rows
		for i := range users {
			many := 1
			if i < heavy {
				many = 20
			}
			slice, score := world.slice(), random.Float64()
			for range many {
				rows.Slice = append(rows.Slice, slice)
				cell.AddValue(&rows, len(rows.Slice)-1, windows.SumUnits(score, 1))
			}
		}
		for i, s := range meanScores(&cell) {
			u[i] += s.Excess * s.Excess
			v[i] += s.Variance
		}
	}
	const n = users - heavy + 20*heavy
	want := (heavy*20*20 + users - heavy) / float64(n)
	for i := range u {
		if phi := u[i] / v[i]; math.Abs(phi/want-1) > .08 {
			t.Errorf("contrast %d: phi %.3g, want %.3g", i, phi, want)
		}
	}
}

// TestMeanScoresOfOneUnit: where one user has all predictions of a block, nothing is told.
func TestMeanScoresOfOneUnit(t *testing.T) {
	for slice := range uint8(windows.Slices) {
		var cell windows.Cell
		var rows windows.Rows
		for i := range 40 {
			rows.Slice = append(rows.Slice, slice)
			cell.AddValue(&rows, i, windows.SumUnits(float64(i)/40, 1))
		}
		for i, s := range meanScores(&cell) {
			if s.Variance > 1e-9 || math.Abs(s.Excess) > 1e-9 {
				t.Errorf("all in slice %d, contrast %d: %+v, want nothing", slice, i, s)
			}
		}
	}
}
