package stats

import "math/bits"

// Trail remembers what a running total was at earlier blocks, so that "since harm began" can be answered for a label that is
// known only later. It keeps the last 16 blocks, of the blocks before them every 2nd, then every 4th, and so on: at most
// 8 for each doubling, spaced by at most an eighth of their age. T is copied by value, so it should be an array or a struct
// without slices. The zero value is ready; owned by one goroutine.
type Trail[T any] struct {
	marks  int64        // calls of Mark; mark q (from 1) is of level l = trailing zeros of q
	first  int64        // label of the first mark
	levels [][8]mark[T] // of each level the last 8: mark q in place (q >> (l+1)) % 8
}

type mark[T any] struct {
	q, at int64 // q is 0 in an empty place
	total T
}

// Mark notes that total was the running total just before the block labelled at. Labels must not fall.
func (t *Trail[T]) Mark(at int64, total T) {
	t.marks++
	if t.marks == 1 {
		t.first = at
	}
	level := bits.TrailingZeros64(uint64(t.marks))
	for len(t.levels) <= level {
		t.levels = append(t.levels, [8]mark[T]{})
	}
	t.levels[level][t.marks>>(level+1)&7] = mark[T]{q: t.marks, at: at, total: total}
}

// Since returns the total just before the first remembered block whose label is at or later, and that label: subtract
// it from the present total to get what happened since. Nothing before at gets in; at most about an eighth of the time since
// then is left out. For a label at or before the first mark it is the zero total; ok is false when no block is at or after it.
func (t *Trail[T]) Since(at int64) (start T, from int64, ok bool) {
	if t.marks > 0 && at <= t.first {
		return start, t.first, true
	}
	var found *mark[T]
	for l := range t.levels {
		for i := range t.levels[l] {
			m := &t.levels[l][i]
			if m.q > 0 && m.at >= at && (found == nil || m.q < found.q) {
				found = m
			}
		}
	}
	if found == nil {
		return start, 0, false
	}
	return found.total, found.at, true
}
