package ingest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

// OpenText opens a file of text, plain or compressed by gzip or zstd as its name or its first bytes say, within the bounds on decompression
// that logs have. - is stdin, which Close leaves open. The caller closes it; nothing of it is safe for two goroutines.
func OpenText(path string, stdin io.Reader) (io.ReadCloser, error) {
	t := &textFile{}
	raw := stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, cause(err))
		}
		info, err := file.Stat()
		if err == nil && info.IsDir() {
			err = errors.New("it is a directory")
		}
		if err != nil {
			file.Close()
			return nil, fmt.Errorf("read %s: %w", path, cause(err))
		}
		t.file, raw = file, file
	}
	t.logInput = logInput{path: path, raw: countingReader{r: raw, all: &t.bytes}}
	return t, nil
}

// textFile is a logInput that owns its file.
type textFile struct {
	logInput
	file  *os.File // nil: not ours to close
	bytes atomic.Int64
}

// Close is io.Closer's.
func (t *textFile) Close() error {
	t.close()
	if t.file == nil {
		return nil
	}
	return t.file.Close()
}
