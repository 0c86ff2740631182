package windows

import "math/bits"

// recycledBytes bounds the memory that a recycler keeps; what is freed beyond goes to the garbage collector.
const recycledBytes = 64 << 20

// A recycler is an Arrow allocator that hands out freed memory again, by powers of two. It serves one goroutine.
// The zero value is ready. Memory comes as it was left: not zeroed.
type recycler struct {
	free [64][][]byte // by log2 of the capacity
	kept int          // bytes in free
}

// Allocate implements memory.Allocator.
func (r *recycler) Allocate(size int) []byte {
	class := bits.Len(uint(max(size, 64) - 1))
	if n := len(r.free[class]); n > 0 {
		b := r.free[class][n-1]
		r.free[class] = r.free[class][:n-1]
		r.kept -= cap(b)
		return b[:size]
	}
	return make([]byte, size, 1<<class)
}

// Reallocate implements memory.Allocator.
func (r *recycler) Reallocate(size int, b []byte) []byte {
	if size <= cap(b) {
		return b[:size]
	}
	grown := r.Allocate(size)
	copy(grown, b)
	r.Free(b)
	return grown
}

// Free implements memory.Allocator.
func (r *recycler) Free(b []byte) {
	size := cap(b)
	if size == 0 || size&(size-1) != 0 || r.kept+size > recycledBytes {
		return
	}
	class := bits.Len(uint(size) - 1)
	r.free[class] = append(r.free[class], b[:0])
	r.kept += size
}
