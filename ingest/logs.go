package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"streamcanary/schemas"
)

// Bounds of reading logs. At most (logsAhead+2) chunks of a file are in memory at a time; a reader waits beyond that.
const (
	MaxLogs        = 256       // files read at once; more are refused
	logsAhead      = 2         // chunks of one file that wait for the caller
	chunkBytesMost = 256 << 10 // of text read at a time; less where there are many files
	chunkBytesAll  = 4 << 20
	chunkBytesLess = 32 << 10
)

// LogTopic is the topic of every partition of Logs.
const LogTopic = "log"

// LogOptions says how logs are read. The zero value reads JSON lines of mixed types.
type LogOptions struct {
	Format     string       // of each line; "" is "json"
	Want       schemas.Kind // the only kind of event in the logs; KindUnknown: each says its own
	ChunkBytes int          // of text read and decoded together; 0: chosen by the number of files
	Stdin      io.Reader    // what "-" reads; nil: standard input
}

// LogProgress says how far the reading of logs has come.
type LogProgress struct {
	Bytes, BytesTotal int64 // of the files as they lie there, compressed; BytesTotal is 0 if one's size isn't known
	Events, Invalid   int64 // handed over by Next
	ReachedMs         int64 // event time that the reading has come to; 0: none yet
}

// Logs is the Source for files and standard input: one event a line, plain or compressed by gzip or zstd. Each file
// is a partition, in the order given; offsets are line numbers from 1. Blank lines are passed over, CRLF is a line's
// end, too, and so is the end of the file; a line beyond schemas.MaxEventBytes is one invalid item (its record has only the
// line's beginning).
//
// The partition whose event time is furthest behind is read next, so that windows don't wait for one file while others
// run ahead. Files are read and decoded ahead in goroutines of their own, which Close ends; the order within a
// partition is the log's, and everything that Next returns is a function of the files and ChunkBytes alone.
type Logs struct {
	files      []*logFile
	partitions []Partition
	work       chan *logChunk // chunks to decode
	free       chan *logChunk
	stop       chan struct{}
	readers    sync.WaitGroup
	decoders   sync.WaitGroup
	err        error // what Next goes on returning
	known      bool  // every file's size is known
	total      int64
	bytes      atomic.Int64
	events     atomic.Int64
	invalid    atomic.Int64
	reached    atomic.Int64
}

// OpenLogs opens the files and starts reading them. The path "-" is standard input, at most once. It fails, naming the
// file and the cause, if one cannot be opened.
func OpenLogs(paths []string, o LogOptions) (*Logs, error) {
	if len(paths) == 0 {
		return nil, errors.New("read logs: no file named")
	}
	if len(paths) > MaxLogs {
		return nil, fmt.Errorf("read logs: %d files, at most %d can be read at once", len(paths), MaxLogs)
	}
	if o.Format == "" {
		o.Format = "json"
	}
	if o.ChunkBytes <= 0 {
		o.ChunkBytes = min(chunkBytesMost, max(chunkBytesLess, chunkBytesAll/len(paths)))
	}
	l := &Logs{known: true, stop: make(chan struct{}), work: make(chan *logChunk)}
	l.free = make(chan *logChunk, len(paths)*(logsAhead+2))
	decoders := make([]Decoder, min(runtime.GOMAXPROCS(0), len(paths)*logsAhead))
	for i := range decoders {
		d, err := NewDecoder(o.Format, Options{Want: o.Want})
		if err != nil {
			return nil, err
		}
		decoders[i] = d
	}
	if err := l.open(paths, o); err != nil {
		l.closeFiles()
		return nil, err
	}
	l.start(decoders)
	return l, nil
}

// open opens every file.
func (l *Logs) open(paths []string, o LogOptions) error {
	stdin := false
	for i, path := range paths {
		if path == "-" && stdin {
			return errors.New("read logs: standard input (-) is named twice")
		}
		stdin = stdin || path == "-"
		f, err := l.openFile(path, o)
		if err != nil {
			return err
		}
		f.number = i
		l.files = append(l.files, f)
		l.partitions = append(l.partitions, Partition{Topic: LogTopic, Number: int32(i)})
	}
	return nil
}

// start runs the goroutines: one reader a file, and the decoders, which end when all readers have.
func (l *Logs) start(decoders []Decoder) {
	for _, f := range l.files {
		read := func() { f.read(l) }
		if f.name == "-" {
			go func() { // waiting for standard input cannot be broken off, so Close doesn't wait for it
				read()
			}()
			continue
		}
		l.readers.Go(read)
	}
	for _, d := range decoders {
		l.decoders.Go(func() {
			for {
				select {
				case c := <-l.work:
					c.decode(d)
					c.ready <- struct{}{}
				case <-l.stop:
					return
				}
			}
		})
	}
}

// Partitions is Source's.
func (l *Logs) Partitions() []Partition { return l.partitions }

// Progress says how far reading has come. It may be called from any goroutine.
func (l *Logs) Progress() LogProgress {
	p := LogProgress{Bytes: l.bytes.Load(), Events: l.events.Load(), Invalid: l.invalid.Load(), ReachedMs: l.reached.Load()}
	if l.known {
		p.BytesTotal = l.total
	}
	return p
}

// Next is Source's; each file ends with an empty batch that says so. A file that cannot be read further gives all its complete lines first, and then an error that names
// the file, the last good line and the cause; that error is final.
func (l *Logs) Next(ctx context.Context) (*Batch, error) {
	for l.err == nil {
		f := l.behind()
		if f == nil {
			l.err = io.EOF
			break
		}
		c, err := f.next(ctx)
		if err != nil {
			return nil, err
		}
		if c == nil {
			if f.ended, l.err = true, f.err; l.err != nil {
				continue
			}
			return &Batch{Partition: f.number, Next: f.line, End: true}, nil
		}
		if len(c.Items) == 0 {
			c.Release()
			continue
		}
		l.count(f, c)
		return &c.Batch, nil
	}
	return nil, l.err
}

// behind returns the file whose event time is least, of equals the first; nil: all have ended.
func (l *Logs) behind() *logFile {
	var least *logFile
	for _, f := range l.files {
		if !f.ended && (least == nil || f.reachedMs < least.reachedMs) {
			least = f
		}
	}
	return least
}

// count notes what a batch brings.
func (l *Logs) count(f *logFile, c *logChunk) {
	f.reachedMs = max(f.reachedMs, c.middleMs)
	if f.reachedMs > l.reached.Load() && f.reachedMs != math.MinInt64 {
		l.reached.Store(f.reachedMs)
	}
	l.events.Add(int64(len(c.Items) - c.invalid))
	l.invalid.Add(int64(c.invalid))
}

// Close is Source's. Batches that are still held stay valid.
func (l *Logs) Close() error {
	if l.err == nil {
		l.err = os.ErrClosed
	}
	select {
	case <-l.stop:
		return nil
	default:
	}
	close(l.stop)
	l.closeFiles()
	l.readers.Wait()
	l.decoders.Wait()
	return nil
}

// closeFiles gives the files back.
func (l *Logs) closeFiles() {
	for _, f := range l.files {
		if f.file != nil {
			f.file.Close() // only read from: there is nothing that an error here could mean
		}
	}
}

// take returns an empty chunk, a used one if there is any.
func (l *Logs) take(partition int) *logChunk {
	var c *logChunk
	select {
	case c = <-l.free:
	default:
		c = &logChunk{ready: make(chan struct{}, 1)}
		c.release = func(*Batch) {
			select {
			case l.free <- c:
			default:
			}
		}
	}
	c.Reset(partition)
	return c
}
