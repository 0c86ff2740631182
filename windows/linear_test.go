package windows

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// nearestEdge is the float64 nearest to From + e (To-From)/Count, from exact fractions.
func nearestEdge(l LinearBuckets, e int64) float64 {
	from, to := new(big.Rat).SetFloat64(l.From), new(big.Rat).SetFloat64(l.To)
	width := new(big.Rat).Quo(new(big.Rat).Sub(to, from), big.NewRat(int64(l.Count), 1))
	x, _ := from.Add(from, width.Mul(width, big.NewRat(e, 1))).Float64()
	return x
}

var someLinear = []LinearBuckets{
	{0, 1, 1000}, {0, 1, 1}, {0, 1, 7}, {-1, 1, 2000}, {-8.5, 8.5, 1700}, {0.1, 0.7, 6}, {-0.3, 1e6, 999}, {1e-9, 3e-9, 10}, {-1e300, 1e300, 3}, {0, 1, MaxLinear},
}

func TestLinearEdges(t *testing.T) {
	for _, l := range someLinear {
		step := max(1, l.Count/5000)
		for e := 0; e <= l.Count; e += step {
			edge := l.Upper(int32(e - 1))
			if want := nearestEdge(l, int64(e)); edge != want {
				t.Fatalf("%+v: edge %d is %v, want %v", l, e, edge, want)
			}
			if got := l.BucketOf(edge); got != int32(e-1) {
				t.Fatalf("%+v: edge %d, %v, is in bucket %d", l, e, edge, got)
			}
			above := int32(e)
			if e == l.Count {
				above = TopBucket
			}
			if got := l.BucketOf(math.Nextafter(edge, math.Inf(1))); got != above {
				t.Fatalf("%+v: just above edge %d is bucket %d", l, e, got)
			}
		}
		if l.Upper(-1) != l.From || l.Upper(int32(l.Count-1)) != l.To {
			t.Errorf("%+v: from %v to %v", l, l.Upper(-1), l.Upper(int32(l.Count-1)))
		}
	}
}

func TestLinearBucketOf(t *testing.T) {
	tenths := LinearBuckets{0, 1, 10}
	for _, row := range []struct {
		x    float64
		want int32
	}{
		{0, -1}, {math.Copysign(0, -1), -1}, {math.SmallestNonzeroFloat64, 0}, {0.1, 0}, {math.Nextafter(0.1, 1), 1}, {0.3, 2}, {0.30000000000000004, 3},
		{0.7, 6}, {1, 9}, {math.Nextafter(1, 2), TopBucket}, {-1e-300, ZeroBucket}, {math.Inf(-1), ZeroBucket}, {math.Inf(1), TopBucket}, {math.NaN(), TopBucket},
	} {
		if got := tenths.BucketOf(row.x); got != row.want {
			t.Errorf("%v is in bucket %d, want %d", row.x, got, row.want)
		}
	}
	if !math.IsInf(tenths.Upper(ZeroBucket), -1) || !math.IsInf(tenths.Upper(TopBucket), 1) {
		t.Error("the outer buckets have finite edges")
	}
	for _, i := range []int32{-2, 10, TopBucket - 1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("bucket %d has an edge", i)
				}
			}()
			tenths.Upper(i)
		}()
	}
}

// TestLinearDecimals: what is written with three digits lies on an edge of thousandths, and no other.
func TestLinearDecimals(t *testing.T) {
	l := LinearBuckets{0, 1, 1000}
	for i := range int32(1001) {
		x, err := strconv.ParseFloat("0."+strconv.Itoa(1000 + int(i))[1:], 64)
		if i == 1000 {
			x = 1
		}
		if err != nil || l.BucketOf(x) != i-1 {
			t.Errorf("%v is in bucket %d, want %d (%v)", x, l.BucketOf(x), i-1, err)
		}
	}
}

// FuzzLinear: each value lies in its bucket.
func FuzzLinear(f *testing.F) {
	f.Add(0.0, 1.0, 1000, 0.3)
	f.Add(-8.5, 8.5, 1700, -8.5)
	f.Add(1.0, 1.0000000000000002, 50, 1.0)
	f.Add(-1e300, 1e300, 3, 1e299)
	f.Fuzz(func(t *testing.T, from, to float64, count int, x float64) {
		if !(from < to) || math.Abs(from) > 1e300 || math.Abs(to) > 1e300 || count < 1 || count > MaxLinear {
			return
		}
		l := LinearBuckets{from, to, count}
		i := l.BucketOf(x)
		switch {
		case i == ZeroBucket:
			if !(x < from) {
				t.Errorf("%+v: %v is below", l, x)
			}
		case i == TopBucket:
			if x <= to {
				t.Errorf("%+v: %v is above", l, x)
			}
		case x > l.Upper(i) || i >= 0 && x <= l.Upper(i-1) && l.Upper(i-1) < l.Upper(i):
			t.Errorf("%+v: %v is in bucket %d, up to %v", l, x, i, l.Upper(i))
		}
	})
}

// TestLinearShift: a margin d, upward or downward, in decimals, values on edges and outside the range. The null of harm beyond the margin, with clamped
// buckets: what doesn't break the margin doesn't seem to, moved by the margin in buckets, rounded outward. The null of the margin kept, with
// buckets as they are: what breaks it doesn't seem to keep it, moved by the margin rounded inward.
func TestLinearShift(t *testing.T) {
	r := rand.New(rand.NewPCG(*seedFlag, 0))
	l := LinearBuckets{0, 1, 100}
	as := func(x float64) float64 { return math.Round(x*10) / 1000 } // from hundredths; a tenth of a bucket fine
	clamped := func(i int32) int32 { return l.Clamp(nil, []Bucket{{i, 1}})[0].Index }
	moved := func(i int32, by float64) int32 {
		if i == ZeroBucket || i == TopBucket {
			return i
		}
		return i - int32(by)
	}
	var wrong [2]int // the other choice of buckets: outside values that don't move in the first test, that move in the second
	for range 200_000 {
		b, d := math.Round(r.Float64()*1600-300)/10, math.Round(r.Float64()*300)/10
		slack := math.Abs(math.Round(r.NormFloat64()*20)) / 10
		for _, up := range []float64{1, -1} {
			base, kept, broken := l.BucketOf(as(b)), l.BucketOf(as(b+up*(d-slack))), l.BucketOf(as(b+up*(d+slack)))
			over := func(i, base int32) bool { return up > 0 && i > base || up < 0 && i < base }
			under := func(i, base int32) bool { return up > 0 && i < base || up < 0 && i > base }
			if over(moved(clamped(kept), up*math.Ceil(d)), clamped(base)) {
				t.Fatalf("margin %v: %v seems to break it, against %v", up*d, as(b+up*(d-slack)), as(b))
			}
			if under(moved(broken, up*math.Floor(d)), base) {
				t.Fatalf("margin %v: %v seems to keep it, against %v", up*d, as(b+up*(d+slack)), as(b))
			}
			if over(moved(kept, up*math.Ceil(d)), base) {
				wrong[0]++
			}
			if under(moved(clamped(broken), up*math.Floor(d)), clamped(base)) {
				wrong[1]++
			}
		}
	}
	if wrong[0] == 0 || wrong[1] == 0 {
		t.Errorf("the other choice of buckets is never wrong (%v): this test shows nothing", wrong)
	}
}

func TestLinearClamp(t *testing.T) {
	l := LinearBuckets{0, 1, 10}
	for _, row := range []struct{ in, want []Bucket }{
		{nil, nil},
		{[]Bucket{{3, 1}}, []Bucket{{3, 1}}},
		{[]Bucket{{ZeroBucket, 2}, {-1, 3}, {9, 1}, {TopBucket, 4}}, []Bucket{{-1, 5}, {9, 1}, {10, 4}}},
		{[]Bucket{{ZeroBucket, 2}, {0, 3}}, []Bucket{{-1, 2}, {0, 3}}},
	} {
		if got := l.Clamp(nil, row.in); !slices.Equal(got, row.want) {
			t.Errorf("%v: %v, want %v", row.in, got, row.want)
		}
	}
}

func BenchmarkLinearBucketOf(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 0))
	xs := make([]float64, 1024)
	for i := range xs {
		xs[i] = r.Float64()
	}
	l := LinearBuckets{0, 1, 1000}
	var sum int32
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		sum += l.BucketOf(xs[i&1023])
		i++
	}
	_ = sum
}
