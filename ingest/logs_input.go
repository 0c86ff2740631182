package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Bounds of decompression: a log is text, which shrinks by 1:20 to 1:100. What asks for more memory than zstdMemory, or
// grows by more than ratioMost once it is larger than ratioFrom, is a bomb and refused.
const (
	zstdMemory = 128 << 20
	ratioMost  = 500
	ratioFrom  = 16 << 20
)

// A countingReader counts what is read: all adds up several inputs.
type countingReader struct {
	r   io.Reader
	own int64
	all *atomic.Int64
}

// Read is io.Reader's.
func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.own += int64(n)
	c.all.Add(int64(n))
	return n, err
}

// A logInput decompresses a file. It looks at the compression when it's first read from, so that opening a pipe doesn't
// wait for its writer.
type logInput struct {
	path   string
	raw    countingReader
	text   io.Reader
	zstd   *zstd.Decoder // nil: another compression, or none
	packed bool          // compressed, so the ratio is watched
	read   int64         // bytes of text
}

// Read is io.Reader's.
func (in *logInput) Read(p []byte) (int, error) {
	if in.text == nil {
		if err := in.open(); err != nil {
			return 0, err
		}
	}
	n, err := in.text.Read(p)
	in.read += int64(n)
	if in.packed && in.read > ratioFrom && in.read/ratioMost > in.raw.own {
		return 0, fmt.Errorf("refused: it decompresses to more than %d times its size", ratioMost)
	}
	switch {
	case !in.packed || err == nil || errors.Is(err, io.EOF):
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("the compressed file is cut short (unexpected end)")
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		err = fmt.Errorf("refused: decompressing it needs more than %d MiB of memory: %w", zstdMemory>>20, err)
	default:
		err = fmt.Errorf("decompress: %w", err)
	}
	return n, err
}

// open chooses the decompression by the name, else by the first bytes.
func (in *logInput) open() error {
	buffered := bufio.NewReaderSize(&in.raw, 64<<10)
	magic, err := buffered.Peek(4)
	if len(magic) == 0 && err != nil && err != io.EOF {
		return err
	}
	gz := strings.HasSuffix(in.path, ".gz") || bytes.HasPrefix(magic, []byte{0x1f, 0x8b})
	zst := strings.HasSuffix(in.path, ".zst") || bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd})
	in.packed = gz || zst
	switch {
	case in.packed && len(magic) == 0:
		return errors.New("the compressed file is empty")
	case gz:
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return fmt.Errorf("decompress: %w", err)
		}
		in.text = z
	case zst:
		z, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(zstdMemory))
		if err != nil {
			return fmt.Errorf("decompress: %w", err)
		}
		in.text, in.zstd = z, z
	default:
		if bytes.HasPrefix(magic, []byte{0xef, 0xbb, 0xbf}) {
			_, _ = buffered.Discard(3) // a byte order mark; its bytes are buffered, so this cannot fail
		}
		in.text = buffered
	}
	return nil
}

// close gives the decompressor's memory back.
func (in *logInput) close() {
	if in.zstd != nil {
		in.zstd.Close()
	}
}
