package windows

import (
	"bytes"
	"encoding/json"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
)

// oracle returns the cases of a kind in ../shared/oracles/latency.json, or its copy in analysis/stats.
func oracle(t *testing.T, kind string) []oracleCase {
	t.Helper()
	var all struct{ Cases []oracleCase }
	b, err := os.ReadFile("../analysis/stats/testdata/latency.json")
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	var cases []oracleCase
	for _, c := range all.Cases {
		if c.Kind == kind {
			cases = append(cases, c)
		}
	}
	if len(cases) == 0 {
		t.Fatalf("no case of kind %s", kind)
	}
	return cases
}

type oracleCase struct {
	ID, Kind      string
	Input, Expect json.RawMessage
}

func TestBucketOracle(t *testing.T) {
	for _, c := range oracle(t, "bucket_index") {
		var in struct {
			Scale int
			X     []float64 `json:"x_ms"`
		}
		var want struct{ Index []int32 }
		decode(t, c.Input, &in)
		decode(t, c.Expect, &want)
		if 1<<in.Scale != bucketsPerDoubling {
			t.Fatalf("%s is of scale %d", c.ID, in.Scale)
		}
		for i, x := range in.X {
			if got := BucketOf(x); got != want.Index[i] {
				t.Errorf("BucketOf(%v) = %d, want %d", x, got, want.Index[i])
			}
		}
	}
}

// TestDownscaleOracle: a bucket of scale 7 lies within one of scale 6, so its index halved, rounded down, is that of its upper edge.
func TestDownscaleOracle(t *testing.T) {
	for _, c := range oracle(t, "downscale") {
		var in struct {
			From   int `json:"from_scale"`
			To     int `json:"to_scale"`
			Counts map[string]uint32
		}
		var want struct{ Counts map[string]uint32 }
		decode(t, c.Input, &in)
		decode(t, c.Expect, &want)
		if in.From != 7 || 1<<in.To != bucketsPerDoubling {
			t.Fatalf("%s is from scale %d to %d", c.ID, in.From, in.To)
		}
		var tally Tally
		for text, n := range in.Counts {
			index, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			inside := math.Exp2((float64(index) + 0.5) / 128)
			for range n {
				tally.Add(BucketOf(inside))
			}
		}
		var cell Cell
		tally.Flush(&cell)
		got := map[string]uint32{}
		for _, b := range cell.Hist {
			got[strconv.Itoa(int(b.Index))] = b.Count
		}
		for index, n := range want.Counts {
			if got[index] != n || len(got) != len(want.Counts) {
				t.Fatalf("%s: %v, want %v", c.ID, got, want.Counts)
			}
		}
	}
}

// decode refuses what into has no place for: a number that no test would look at.
func decode(t *testing.T, b []byte, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatal(err)
	}
}

// TestEdges proves each edge in integers: with m its mantissa and the hidden bit, m^64 <= 2^(52*64+j) < (m+1)^64.
func TestEdges(t *testing.T) {
	power := func(m uint64) *big.Int {
		return new(big.Int).Exp(new(big.Int).SetUint64(m), big.NewInt(bucketsPerDoubling), nil)
	}
	for j := range bucketsPerDoubling {
		edge := new(big.Int).Lsh(big.NewInt(1), uint(52*bucketsPerDoubling+j))
		m := mantissaEdges[j] | 1<<52
		if power(m).Cmp(edge) > 0 || power(m+1).Cmp(edge) <= 0 {
			t.Errorf("edge %d has mantissa %#x, not the greatest below 2^(%d/64)", j, mantissaEdges[j], j)
		}
	}
}

// TestBucketEdges: each bucket ends at BucketUpper, inclusive.
func TestBucketEdges(t *testing.T) {
	for _, i := range []int32{-65_537, -64_000, -640, -65, -64, -1, 0, 1, 62, 63, 64, 361, 65_535} {
		upper := BucketUpper(i)
		if got := BucketOf(upper); got != i {
			t.Errorf("BucketOf(BucketUpper(%d)) = %d", i, got)
		}
		if next := math.Nextafter(upper, math.Inf(1)); !math.IsInf(next, 1) && BucketOf(next) != i+1 && upper > 0x1p-1022 {
			t.Errorf("BucketOf(%v) = %d, want %d", next, BucketOf(next), i+1)
		}
	}
	for x, want := range map[float64]int32{
		0: ZeroBucket, math.Copysign(0, -1): ZeroBucket, -1: ZeroBucket, math.Inf(-1): ZeroBucket, math.Inf(1): TopBucket,
		math.SmallestNonzeroFloat64: -1074*64 - 1, math.MaxFloat64: 1024*64 - 1, 1: -1, 2: 63, 0x1p-1022: -1022*64 - 1,
	} {
		if got := BucketOf(x); got != want {
			t.Errorf("BucketOf(%v) = %d, want %d", x, got, want)
		}
	}
	if got := BucketOf(math.NaN()); got != TopBucket {
		t.Errorf("BucketOf(NaN) = %d", got)
	}
	if BucketUpper(ZeroBucket) != 0 || !math.IsInf(BucketUpper(TopBucket), 1) || BucketUpper(-1) != 1 || BucketUpper(63) != 2 {
		t.Error("BucketUpper of the outer buckets, or of powers of two, is off")
	}
}

// TestBucketOrder: buckets never fall as values rise, and agree with the logarithm where that is sure.
func TestBucketOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(*seedFlag, 0))
	var xs []float64
	for range 20_000 {
		xs = append(xs, math.Exp(r.NormFloat64()*20))
	}
	slices.Sort(xs)
	last := ZeroBucket
	for _, x := range xs {
		got := BucketOf(x)
		if got < last {
			t.Fatalf("BucketOf(%v) = %d, below %d of a smaller value", x, got, last)
		}
		at := 64 * math.Log2(x)
		if math.Abs(at-math.Round(at)) > 1e-6 && got != int32(math.Ceil(at))-1 {
			t.Fatalf("BucketOf(%v) = %d, want %v", x, got, math.Ceil(at)-1)
		}
		last = got
	}
}

// TestTally: in any split of the values, the cell holds what a map of counts does.
func TestTally(t *testing.T) {
	eachSeed(t, func(t *testing.T, r *rand.Rand) {
		var tally Tally
		var cell Cell
		want := map[int32]uint32{}
		for range r.IntN(2_000) {
			index := BucketOf(math.Exp(r.NormFloat64() * 9))
			switch r.IntN(30) {
			case 0:
				index = ZeroBucket
			case 1:
				index = TopBucket
			case 2:
				index = int32(r.IntN(130_000) - 65_000)
			}
			tally.Add(index)
			want[index]++
			if r.IntN(100) == 0 {
				tally.Flush(&cell)
			}
		}
		tally.Flush(&cell)
		if len(cell.Hist) != len(want) || !slices.IsSortedFunc(cell.Hist, func(a, b Bucket) int { return int(a.Index) - int(b.Index) }) {
			t.Fatalf("%d buckets, want %d, ascending", len(cell.Hist), len(want))
		}
		for _, b := range cell.Hist {
			if b.Count != want[b.Index] {
				t.Errorf("bucket %d has %d, want %d", b.Index, b.Count, want[b.Index])
			}
		}
	})
}

func BenchmarkBucketOf(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 0))
	xs := make([]float64, 1024)
	for i := range xs {
		xs[i] = math.Exp(3 + r.NormFloat64())
	}
	var sum int32
	i := 0
	for b.Loop() {
		sum += BucketOf(xs[i&1023])
		i++
	}
	_ = sum
}

// TestAppendSum: what is in both is added up, and what was there before stays.
func TestAppendSum(t *testing.T) {
	a, b := []Bucket{{1, 2}, {3, 4}, {9, 1}}, []Bucket{{-5, 7}, {3, 1}, {4, 2}}
	for _, test := range []struct{ dst, a, b, want []Bucket }{
		{nil, a, b, []Bucket{{-5, 7}, {1, 2}, {3, 5}, {4, 2}, {9, 1}}},
		{[]Bucket{{8, 8}}, b, a, []Bucket{{8, 8}, {-5, 7}, {1, 2}, {3, 5}, {4, 2}, {9, 1}}},
		{nil, a, nil, a},
		{nil, nil, b, b},
		{nil, nil, nil, nil},
	} {
		if have := AppendSum(test.dst, test.a, test.b); !slices.Equal(have, test.want) {
			t.Errorf("%v and %v: %v, want %v", test.a, test.b, have, test.want)
		}
	}
}
