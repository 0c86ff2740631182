package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"streamcanary/schemas"
)

const (
	lineMost  = schemas.MaxEventBytes + 2 // kept of a line: enough to see that it's too long, with its end of two bytes
	linesMost = 8192                      // of one chunk; a chunk of more is cut
)

// A logFile is one file and the goroutine that reads it.
type logFile struct {
	name   string
	number int
	file   io.Closer // nil: not ours to close
	input  *logInput // decompressed
	live   bool      // a pipe or terminal: hand over what there is, don't wait for a whole chunk
	chunk  int       // bytes read at a time

	queue chan *logChunk // in log order; closed at the end, after err is set
	err   error

	carry    []byte // read, but not yet part of a chunk
	line     int64  // number of the carry's first line
	end      error  // why nothing more can be read; nil: it can
	skipping bool   // within a line that was too long

	head      *logChunk // taken from the queue, perhaps not decoded yet
	ended     bool
	reachedMs int64 // event time reached by what Next handed over; least before
}

// A logChunk is a batch with the lines that it's decoded from.
type logChunk struct {
	Batch
	lines    []byte // whole lines
	first    int64  // number of the first line
	middleMs int64  // middle event time of the batch: a wrong clock or two don't move it
	invalid  int
	ready    chan struct{} // gets one token when the batch is decoded
}

// openFile opens one file and looks at its first bytes for its compression.
func (l *Logs) openFile(path string, o LogOptions) (*logFile, error) {
	f := &logFile{name: path, chunk: o.ChunkBytes, line: 1, queue: make(chan *logChunk, logsAhead), reachedMs: math.MinInt64}
	for _, suffix := range []string{".csv", ".parquet"} {
		if strings.HasSuffix(strings.TrimSuffix(strings.TrimSuffix(path, ".gz"), ".zst"), suffix) {
			return nil, fmt.Errorf("read log %s: %s files are not supported yet (one JSON object a line is, also as .gz or .zst)", path, suffix)
		}
	}
	var raw io.Reader
	if path == "-" {
		l.known, f.live = false, true
		if raw = o.Stdin; raw == nil {
			raw = os.Stdin
		}
	} else {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read log %s: %w", path, cause(err))
		}
		info, err := file.Stat()
		if err == nil && info.IsDir() {
			err = errors.New("it is a directory")
		}
		if err != nil {
			file.Close()
			return nil, fmt.Errorf("read log %s: %w", path, cause(err))
		}
		raw, f.file = file, file
		f.live = !info.Mode().IsRegular()
		l.known = l.known && !f.live
		l.total += info.Size()
	}
	f.input = &logInput{path: path, raw: countingReader{r: raw, all: &l.bytes}}
	return f, nil
}

// cause is what the operating system said, without the operation and the path that our own text has.
func cause(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// read is the reader's goroutine: it cuts the file into chunks of whole lines until its end.
func (f *logFile) read(l *Logs) {
	defer close(f.queue)
	defer f.input.close()
	for {
		c := l.take(f.number)
		c.lines = append(c.lines[:0], f.carry...)
		f.fill(c)
		f.cut(c)
		if len(c.lines) > 0 && !f.hand(l, c) {
			return
		}
		if f.skipping {
			f.skip()
		}
		if f.end != nil && len(f.carry) == 0 {
			break
		}
	}
	if !errors.Is(f.end, io.EOF) {
		f.err = fmt.Errorf("read log %s: after line %d: %w", f.name, f.line-1, cause(f.end))
	}
}

// fill reads until the chunk has a whole line, or is longer than a line may be, or nothing more can be read.
func (f *logFile) fill(c *logChunk) {
	for f.end == nil && len(c.lines) <= lineMost && bytes.IndexByte(c.lines, '\n') < 0 {
		c.lines = f.more(c.lines)
	}
}

// more appends one chunk's bytes; of a live input what there is. Where that isn't all, f.end says why.
func (f *logFile) more(to []byte) []byte {
	from, want := len(to), len(to)+f.chunk
	to = slices.Grow(to, f.chunk)
	for f.end == nil && len(to) < want && (len(to) == from || !f.live) {
		var n int
		n, f.end = f.input.Read(to[len(to):want])
		to = to[:len(to)+n]
	}
	return to
}

// cut leaves whole lines in the chunk; the rest becomes the carry.
func (f *logFile) cut(c *logChunk) {
	c.first = f.line
	n, newlines := bytes.LastIndexByte(c.lines, '\n')+1, bytes.Count(c.lines, []byte{'\n'})
	if newlines > linesMost {
		newlines = linesMost
		n = 0
		for range newlines {
			n += bytes.IndexByte(c.lines[n:], '\n') + 1
		}
	}
	f.carry = append(f.carry[:0], c.lines[n:]...)
	f.line += int64(newlines)
	switch {
	case n > 0:
		c.lines = c.lines[:n]
	case len(c.lines) > lineMost: // the line goes on: its beginning stands for it
		c.lines, f.carry = c.lines[:lineMost], f.carry[:0]
		f.skipping = true
		f.line++
	case errors.Is(f.end, io.EOF): // the last line has no newline
		f.carry = f.carry[:0]
		if len(c.lines) > 0 {
			f.line++
		}
	default: // what was read of the line before the error is no line
		c.lines, f.carry = c.lines[:0], f.carry[:0]
	}
}

// hand passes a chunk on to the caller of Next and to the decoders; false: the reading is over.
func (f *logFile) hand(l *Logs, c *logChunk) bool {
	select {
	case f.queue <- c:
	case <-l.stop:
		return false
	}
	select {
	case l.work <- c:
		return true
	case <-l.stop:
		return false
	}
}

// skip reads past the end of a line that was too long.
func (f *logFile) skip() {
	f.skipping = false
	for f.end == nil {
		f.carry = f.more(f.carry[:0])
		if n := bytes.IndexByte(f.carry, '\n'); n >= 0 {
			f.carry = f.carry[:copy(f.carry, f.carry[n+1:])]
			return
		}
	}
	f.carry = f.carry[:0]
}

// next returns the file's next chunk, decoded; nil: there is none.
func (f *logFile) next(ctx context.Context) (*logChunk, error) {
	if f.head == nil {
		select {
		case c, ok := <-f.queue:
			if !ok {
				return nil, nil
			}
			f.head = c
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	select {
	case <-f.head.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c := f.head
	f.head = nil
	return c, nil
}

// decode makes the chunk's items of its lines.
func (c *logChunk) decode(d Decoder) {
	rest, offset := c.lines, c.first
	for len(rest) > 0 {
		line := rest
		if n := bytes.IndexByte(rest, '\n'); n >= 0 {
			line, rest = rest[:n], rest[n+1:]
		} else {
			rest = nil
		}
		if n := len(line); n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		}
		if len(line) > 0 && (line[0] == '{' || len(bytes.TrimSpace(line)) > 0) {
			c.Take(d, Record{Value: line[:len(line):len(line)], Offset: offset})
		}
		offset++
	}
	c.Batch.Next = offset
	c.measure()
}

// middleSample is how many events a batch's middle time is taken of.
const middleSample = 31

// measure finds the batch's middle event time and counts its invalid items.
func (c *logChunk) measure() {
	var times [middleSample]int64
	n, step := 0, max(1, len(c.Items)/middleSample)
	c.invalid = 0
	for i := range c.Items {
		if c.Items[i].Err != nil {
			c.invalid++
		} else if i%step == 0 && n < middleSample {
			times[n] = c.Items[i].Event.TimeMs
			n++
		}
	}
	c.middleMs = math.MinInt64
	if n > 0 {
		slices.Sort(times[:n])
		c.middleMs = times[n/2]
	}
}
