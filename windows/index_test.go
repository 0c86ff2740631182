package windows

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
)

// TestIndexAgainstMap: whatever was inserted and isn't stale is found, each once, while the table grows, shrinks and moves.
func TestIndexAgainstMap(t *testing.T) {
	eachSeed(t, func(t *testing.T, r *rand.Rand) {
		floor := int64(-MaxTimeMs)
		x := index{stale: func(s *slot) bool { return s.timeMs() < floor }}
		want := map[uint64][]int64{} // by key: times
		keys := []uint64{0}
		ms := int64(0)
		for range 30_000 {
			switch r.IntN(20) {
			default:
				key := r.Uint64() >> r.IntN(2) // clusters in the lower half
				if r.IntN(8) == 0 {
					key = keys[r.IntN(len(keys))]
				}
				ms++
				x.insert(slot{key: key, when: packWhen(ms, 7)})
				want[max(key, 1)] = append(want[max(key, 1)], ms)
				keys = append(keys, key)
			case 0:
				checkKey(t, &x, keys[r.IntN(len(keys))], want, floor)
			case 1:
				if r.IntN(20) == 0 {
					floor += r.Int64N(max(1, ms-floor)) * int64(r.IntN(2))
					floor = max(floor, ms-r.Int64N(20_000))
				}
			}
			if r.IntN(4_000) == 0 {
				x.rebuild()
			}
		}
		for _, key := range keys {
			checkKey(t, &x, key, want, floor)
		}
	})
}

func checkKey(t *testing.T, x *index, key uint64, want map[uint64][]int64, floor int64) {
	t.Helper()
	found := map[int64]int{}
	for f := x.find(key); ; {
		s := f.next()
		if s == nil {
			break
		}
		found[s.timeMs()]++
	}
	known := map[int64]bool{}
	for _, ms := range want[max(key, 1)] {
		known[ms] = true
		if ms >= floor && found[ms] != 1 {
			t.Fatalf("the entry of key %x at %d is found %d times", key, ms, found[ms])
		}
	}
	for ms, n := range found {
		if !known[ms] || n != 1 {
			t.Fatalf("key %x: an entry at %d is found %d times", key, ms, n)
		}
	}
}

// TestSlotFields: what is packed comes out, at the ends of its range, too.
func TestSlotFields(t *testing.T) {
	for _, ms := range []int64{-MaxTimeMs, -1, 0, 1_760_000_400_000, MaxTimeMs} {
		for _, attempt := range []int32{-1, 0, 1, maxAttempt, math.MaxInt32} {
			s := slot{when: packWhen(ms, MaxPlans), what: packWhat(what{MaxSources, attempt, Canary, 7, true})}
			for i := range MaxOutcomes {
				if !s.match(i) || s.match(i) {
					t.Errorf("outcome %d isn't new once", i)
				}
			}
			wantAttempt := int64(min(max(attempt, 0), maxAttempt))
			if s.timeMs() != ms || s.plan() != MaxPlans || s.source() != MaxSources || s.attempt() != wantAttempt ||
				s.arm() != Canary || s.slice() != 7 || !s.joinable() {
				t.Errorf("time %d, attempt %d: %d, plan %d, source %d, attempt %d, arm %d, slice %d, %v",
					ms, attempt, s.timeMs(), s.plan(), s.source(), s.attempt(), s.arm(), s.slice(), s.joinable())
			}
		}
	}
	a := slot{when: packWhen(5, 3), what: packWhat(what{2, 1, Baseline, 4, true})}
	for name, b := range map[string]slot{
		"plan":    {when: packWhen(5, 4), what: a.what},
		"source":  {when: a.when, what: packWhat(what{3, 1, Baseline, 4, true})},
		"attempt": {when: a.when, what: packWhat(what{2, 2, Baseline, 4, true})},
		"arm":     {when: a.when, what: packWhat(what{2, 1, Canary, 4, true})},
	} {
		if a.identity() == b.identity() {
			t.Errorf("another %s has the same identity", name)
		}
	}
	same := slot{when: packWhen(9, 3), what: packWhat(what{2, 1, Baseline, 0, false})}
	if a.match(3); a.identity() != same.identity() {
		t.Error("time, slice, joinable or what matched is part of the identity")
	}
}

// BenchmarkIndex has a million pending predictions, and is otherwise as a stage uses the table: a search and an insertion for
// each prediction, as many entries going stale; or a search for an outcome.
func BenchmarkIndex(b *testing.B) {
	const pending = 1_000_000
	build := func() (*index, *int64) {
		n := int64(0)
		x := &index{stale: func(s *slot) bool { return s.timeMs() < n-pending }}
		for ; n < 3*pending; n++ {
			x.insert(slot{key: keyOf(n), when: packWhen(n, 0)})
		}
		return x, &n
	}
	bench := func(name string, run func(x *index, n *int64)) {
		b.Run(name+"/pending=1M", func(b *testing.B) {
			runtime.GC()
			x, n := build()
			b.ReportAllocs()
			for b.Loop() {
				run(x, n)
			}
			b.ReportMetric(float64(x.bytes())/pending, "bytes/entry")
		})
	}
	bench("insert", func(x *index, n *int64) {
		f := x.find(keyOf(*n))
		if f.next() != nil {
			b.Fatal("a new key is there")
		}
		x.insert(slot{key: keyOf(*n), when: packWhen(*n, 0)})
		*n++
	})
	r := rand.New(rand.NewPCG(1, 0))
	bench("hit", func(x *index, n *int64) {
		f := x.find(keyOf(*n - 1 - r.Int64N(pending)))
		if f.next() == nil {
			b.Fatal("a pending key isn't there")
		}
	})
	bench("miss", func(x *index, n *int64) {
		f := x.find(keyOf(*n + r.Int64N(pending)))
		if f.next() != nil {
			b.Fatal("a key is there that was never inserted")
		}
	})
}

// BenchmarkGoMap is the same insertion and expiry with a Go map, to compare in the same run.
func BenchmarkGoMap(b *testing.B) {
	const pending = 1_000_000
	key := func(n int64) (k [16]byte) {
		binary.LittleEndian.PutUint64(k[:], keyOf(n))
		binary.LittleEndian.PutUint64(k[8:], uint64(n))
		return k
	}
	m := map[[16]byte]uint64{}
	n := int64(0)
	step := func() {
		if _, known := m[key(n)]; known {
			b.Fatal("a new key is there")
		}
		m[key(n)] = uint64(n)
		delete(m, key(n-pending))
		n++
	}
	for n < 3*pending {
		step()
	}
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		step()
	}
}

// keyOf scrambles a number (splitmix64).
func keyOf(n int64) uint64 {
	z := uint64(n)*0x9e3779b97f4a7c15 + 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
