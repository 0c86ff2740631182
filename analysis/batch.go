package analysis

// Bounds of a batch: an interval lags behind the tests by at most batchBlocks - 1 blocks, and by at most a sixteenth of the epoch's.
const (
	batchBlocks = 8
	batchPart   = 16
)

// batch is consecutive tested blocks that the intervals take together: intervals cost many times what the tests
// do, and people read them, nobody decides by them. It ends where the canary's share changes, as blocks do.
type batch struct {
	block  block
	weight float64 // of the start mixture, of all its blocks
	phi    float64 // the greatest of its blocks'
	blocks int64
	tested int64 // of the epoch
}

// take adds a tested block, and calls enter for each batch that is complete.
func (b *batch) take(more *block, c closing, enter func(*batch)) {
	if c.fresh {
		b.flush(enter)
	}
	b.block.join(more)
	b.weight += c.weight
	b.phi = max(b.phi, c.phi)
	b.blocks++
	b.tested++
	if b.blocks >= min(batchBlocks, 1+b.tested/batchPart) {
		b.flush(enter)
	}
}

func (b *batch) flush(enter func(*batch)) {
	if b.blocks == 0 {
		return
	}
	enter(b)
	b.block.clear()
	b.weight, b.phi, b.blocks = 0, 0, 0
}
