package loadgen

// A heap holds what is still to come, the earliest first: by time, then by order, so that no two are equal.
type heap[T any] []node[T]

type node[T any] struct {
	at    float64 // milliseconds
	order uint64
	value T
}

func (n *node[T]) before(m *node[T]) bool { return n.at < m.at || n.at == m.at && n.order < m.order }

// push adds a node.
func (h *heap[T]) push(n node[T]) {
	*h = append(*h, n)
	q := *h
	i := len(q) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !n.before(&q[up]) {
			break
		}
		q[i] = q[up]
		i = up
	}
	q[i] = n
}

// pop takes the earliest node; the heap must not be empty.
func (h *heap[T]) pop() node[T] {
	q := *h
	first, last := q[0], q[len(q)-1]
	q = q[:len(q)-1]
	*h = q
	if len(q) == 0 {
		return first
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= len(q) {
			break
		}
		if child+1 < len(q) && q[child+1].before(&q[child]) {
			child++
		}
		if !q[child].before(&last) {
			break
		}
		q[i] = q[child]
		i = child
	}
	q[i] = last
	return first
}
