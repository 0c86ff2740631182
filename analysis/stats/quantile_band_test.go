package stats

import (
	"math"
	"math/rand/v2"
	"testing"

	"streamcanary/windows"
)

// bandProcess takes values of one law and bounds their p90; its buckets stand ready.
type bandProcess struct {
	unplayed
	hist []windows.Bucket
}

const (
	bandLow, bandHigh = -200, 800
	bandTruth         = 64 // bucket of the p90, whose upper edge is the truth
)

func newBandProcess() process {
	p := &bandProcess{}
	for i := int32(bandLow); i <= bandHigh; i++ {
		p.hist = append(p.hist, windows.Bucket{Index: i})
	}
	return p
}

func (p *bandProcess) take(b any, _ float64) {
	for _, x := range b.([]windows.Bucket) {
		if x.Index >= bandLow && x.Index <= bandHigh {
			p.hist[x.Index-bandLow].Count += x.Count
		}
	}
}

func (p *bandProcess) interval(alpha float64) (lower, upper float64) {
	l, u := QuantileBand{PPM: 100_000}.Interval(p.hist, alpha)
	return windows.BucketUpper(l), windows.BucketUpper(u)
}

// ofOneLaw draws values of which all but this share are up to the truth.
func ofOneLaw(above float64) func(r *rand.Rand) func(int) any {
	return func(r *rand.Rand) func(int) any {
		return func(int) any {
			counts := map[int32]uint32{}
			for range 1 + r.IntN(60) {
				i := int32(bandTruth - r.IntN(40))
				if r.Float64() < above {
					i = bandTruth + 1 + int32(r.IntN(100))
				}
				counts[i]++
			}
			return histOf(counts)
		}
	}
}

func init() {
	register(kind{
		name: "quantile band", file: "quantile_band.go", truth: windows.BucketUpper(bandTruth),
		start: newBandProcess,
		null:  ofOneLaw(0.1), harm: ofOneLaw(0.2),
		idle:  []any{[]windows.Bucket{}},
		edges: []any{[]windows.Bucket{{Index: 5, Count: math.MaxUint32}}, []windows.Bucket{{Index: 5, Count: 1}, {Index: 9, Count: 1}}},
	})
}

func TestQuantileBandAtTheEnds(t *testing.T) {
	many := func(at ...int32) []windows.Bucket {
		var hist []windows.Bucket
		for _, i := range at {
			hist = append(hist, windows.Bucket{Index: i, Count: 100_000})
		}
		return hist
	}
	for _, row := range []struct {
		name         string
		hist         []windows.Bucket
		lower, upper int32
	}{
		{"no values", nil, windows.ZeroBucket, windows.TopBucket},
		{"one value", []windows.Bucket{{Index: 3, Count: 1}}, windows.ZeroBucket, windows.TopBucket},
		{"all in one bucket", many(3), 2, 3},
		{"all zero", many(windows.ZeroBucket), windows.ZeroBucket, windows.ZeroBucket},
		{"all infinite", many(windows.TopBucket), windows.TopBucket - 1, windows.TopBucket},
		{"half and half, a median between", many(3, 90), windows.ZeroBucket, windows.TopBucket},
		{"thirds", many(3, 90, 200), 89, 90},
	} {
		lower, upper := QuantileBand{PPM: 500_000}.Interval(row.hist, 0.05)
		if row.name == "half and half, a median between" {
			if lower > 3 || upper < 89 {
				t.Errorf("%s: %d to %d", row.name, lower, upper)
			}
			continue
		}
		if lower != row.lower || upper != row.upper {
			t.Errorf("%s: %d to %d, want %d to %d", row.name, lower, upper, row.lower, row.upper)
		}
	}
	mustPanic(t, "alpha 0", func() { QuantileBand{PPM: 1}.Interval(nil, 0) })
	mustPanic(t, "no tail", func() { QuantileBand{}.Interval(nil, 0.05) })
}
