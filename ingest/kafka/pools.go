package kafka

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Bounds of what is kept for the next fetch. The client clears a slice whole when it's put back, so one that grew for an unusual batch
// would cost every later one.
const (
	pooledBytes   = 4 << 20
	pooledRecords = 8192
	usualRatio    = 4 // by which events shrink, at least, guessing the first size
)

// fetchPools keep the memory of fetched records for the next ones: batches give it back at Release. They may be used by many goroutines.
type fetchPools struct {
	bytes, records sync.Pool
}

// GetDecompressBytes is kgo.PoolDecompressBytes'.
func (p *fetchPools) GetDecompressBytes(compressed []byte, _ kgo.CompressionCodecType) []byte {
	if b, ok := p.bytes.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, min(usualRatio*len(compressed), pooledBytes))
}

// PutDecompressBytes is kgo.PoolDecompressBytes'.
func (p *fetchPools) PutDecompressBytes(b []byte) {
	if cap(b) <= pooledBytes {
		p.bytes.Put(&b)
	}
}

// GetRecords is kgo.PoolRecords'.
func (p *fetchPools) GetRecords(n int) []kgo.Record {
	if r, ok := p.records.Get().(*[]kgo.Record); ok && cap(*r) >= n {
		return *r
	}
	return make([]kgo.Record, n)
}

// PutRecords is kgo.PoolRecords'.
func (p *fetchPools) PutRecords(r []kgo.Record) {
	if cap(r) <= pooledRecords {
		p.records.Put(&r)
	}
}
