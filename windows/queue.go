package windows

// waiting is an outcome that waits until every prediction that it could count for has been read.
type waiting struct {
	key     uint64 // hash of the id
	timeMs  int64
	highMs  int64  // of its partition, before it was read: whether it is late for a rollout
	model   uint64 // hashes of what it names; 0 if it doesn't
	version uint64
	value   float64
	copyMs  int64 // the latest time of an earlier copy, where values count; NoTime
	name    int32 // place in the stage's outcome names
	source  uint16
	copied  bool // classed as Duplicate already
}

// A queue is a heap of waiting outcomes, the earliest first. No pointers.
type queue []waiting

func (q *queue) push(w waiting) {
	h := append(*q, w)
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].timeMs <= h[i].timeMs {
			break
		}
		h[parent], h[i] = h[i], h[parent]
		i = parent
	}
	*q = h
}

func (q *queue) pop() waiting {
	h := *q
	first, last := h[0], len(h)-1
	h[0] = h[last]
	h = h[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && h[child+1].timeMs < h[child].timeMs {
			child++
		}
		if h[i].timeMs <= h[child].timeMs {
			break
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
	*q = h
	return first
}
