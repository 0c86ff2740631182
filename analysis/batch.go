package analysis

// Bounds of a batch: an interval lags behind the tests by at most batchBlocks - 1 blocks, and by at most a sixteenth of the epoch's.
const (
	batchBlocks = 8
	batchPart   = 16
	batchHot    = 1.0 // log evidence of harm from which on each block is a batch: somebody may be about to read it
)

// batch is consecutive tested blocks that the intervals take together: intervals cost many times what the tests
// do, and people read them, nobody decides by them. Its size is fixed before its first block, by the past alone, as the tests behind an
// interval need; it ends where the canary's share changes, as blocks do.
type batch struct {
	block  block
	weight float64 // of the start mixture, of all its blocks
	phi    armPhi  // the greatest of its blocks'
	blocks int64
	limit  int64 // of blocks
	tested int64 // of the epoch
}

// take adds a tested block, and calls enter for each batch that is complete.
func (b *batch) take(more *block, c closing, enter func(*batch)) {
	if c.fresh {
		b.flush(enter)
	}
	if b.blocks == 0 {
		b.limit = min(batchBlocks, 1+b.tested/batchPart)
		if c.hot {
			b.limit = 1
		}
	}
	b.block.join(more)
	b.weight += c.weight
	b.phi = b.phi.atLeast(c.phi)
	b.blocks++
	b.tested++
	if b.blocks >= b.limit {
		b.flush(enter)
	}
}

func (b *batch) flush(enter func(*batch)) {
	if b.blocks == 0 {
		return
	}
	enter(b)
	b.block.clear()
	b.weight, b.phi, b.blocks = 0, armPhi{}, 0
}

// batches has one for each stratum.
type batches []batch

func (b *batches) take(more *block, c closing, enter func(*batch)) {
	for len(*b) <= c.stratum {
		*b = append(*b, batch{})
	}
	(*b)[c.stratum].take(more, c, enter)
}
