package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"streamcanary/schemas"
)

// line is one event of a log, at a time.
func line(id string, ms int) string {
	return fmt.Sprintf(`{"type":"prediction","id":%q,"ts":%d,"model":"m","version":"v"}`, id, ms)
}

// gzipped, zstded compress text.
func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zstded(t *testing.T, text string, o ...zstd.EOption) string {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, o...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// write makes files in a fresh folder and returns their paths.
func write(t *testing.T, files ...string) []string {
	t.Helper()
	dir, paths := t.TempDir(), []string{}
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// readAll reads logs to their end and returns what they gave as "partition:offset id", or "partition:offset reason", and the error
// that ended them (nil: io.EOF).
func readAll(t *testing.T, paths []string, o LogOptions) ([]string, error) {
	t.Helper()
	l, err := OpenLogs(paths, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	var got []string
	ended := map[int]bool{}
	for {
		b, err := l.Next(t.Context())
		if errors.Is(err, io.EOF) {
			if len(ended) != len(paths) {
				t.Errorf("the ends of %d of %d files were told", len(ended), len(paths))
			}
			return got, nil
		}
		if err != nil {
			if _, again := l.Next(t.Context()); !errors.Is(again, err) {
				t.Errorf("the error isn't final: %v", again)
			}
			return got, err
		}
		if ended[b.Partition] {
			t.Errorf("file %d goes on after its end", b.Partition)
		}
		if b.End {
			ended[b.Partition] = true
		}
		for i := range b.Items {
			what := string(b.Items[i].Event.ID)
			if b.Items[i].Err != nil {
				what = string(b.Items[i].Err.Reason)
			}
			got = append(got, fmt.Sprintf("%d:%d %s", b.Partition, b.Items[i].Offset, what))
		}
		b.Release()
	}
}

// TestLogs has a row for each shape of a log; every row is read with large chunks and with tiny ones.
func TestLogs(t *testing.T) {
	three := line("a", 1) + "\n" + line("b", 2) + "\n" + line("c", 3) + "\n"
	abc := []string{"0:1 a", "0:2 b", "0:3 c"}
	huge := `{"pad":"` + strings.Repeat("x", schemas.MaxEventBytes) + `"}`
	fit := line("fit", 4) + strings.Repeat(" ", schemas.MaxEventBytes-len(line("fit", 4)))
	for _, row := range []struct {
		name, file, text string
		want             []string
		wantErr          string
	}{
		{"empty", "l.ndjson", "", nil, ""},
		{"lines", "l.ndjson", three, abc, ""},
		{"no newline at the end", "l.ndjson", strings.TrimSpace(three), abc, ""},
		{"CRLF", "l.ndjson", strings.ReplaceAll(three, "\n", "\r\n"), abc, ""},
		{"blank lines count as lines", "l.ndjson", "\n" + line("a", 1) + "\n\n \t\r\n" + line("b", 2) + "\n\n", []string{"0:2 a", "0:5 b"}, ""},
		{"byte order mark", "l.ndjson", "\ufeff" + three, abc, ""},
		{"bad lines", "l.ndjson", "garbage\n" + line("a", 1) + "\n{\n", []string{"0:1 broken_json", "0:2 a", "0:3 broken_json"}, ""},
		{"any name", "l.log", three, abc, ""},
		{"gzip", "l.ndjson.gz", gzipped(t, three), abc, ""},
		{"gzip of two parts", "l.ndjson.gz", gzipped(t, three[:30]) + gzipped(t, three[30:]), abc, ""},
		{"gzip by its first bytes", "l", gzipped(t, three), abc, ""},
		{"zstd", "l.ndjson.zst", zstded(t, three), abc, ""},
		{"zstd of two parts", "l.ndjson.zst", zstded(t, three[:30]) + zstded(t, three[30:]), abc, ""},
		{"zstd by its first bytes", "l", zstded(t, three), abc, ""},
		{"line at the bound", "l.ndjson", fit + "\n" + line("a", 1) + "\n", []string{"0:1 fit", "0:2 a"}, ""},
		{"line at the bound with CRLF", "l.ndjson", fit + "\r\n" + line("a", 1) + "\n", []string{"0:1 fit", "0:2 a"}, ""},
		{"line one beyond", "l.ndjson", fit + " \n" + line("a", 1) + "\n", []string{"0:1 too_big", "0:2 a"}, ""},
		{"long line in the middle", "l.ndjson", line("a", 1) + "\n" + huge + huge + "\n" + line("b", 2) + "\n", []string{"0:1 a", "0:2 too_big", "0:3 b"}, ""},
		{"long line at the end", "l.ndjson", line("a", 1) + "\n" + huge, []string{"0:1 a", "0:2 too_big"}, ""},
		{"long lines only", "l.ndjson", huge + "\n" + huge + huge + "\n" + huge + "\n", []string{"0:1 too_big", "0:2 too_big", "0:3 too_big"}, ""},
		{
			"gzip cut short", "l.ndjson.gz", cutGzip(t, three), abc[:2],
			"after line 2: the compressed file is cut short (unexpected end)",
		},
		{"zstd cut short", "l.ndjson.zst", zstded(t, three)[:20], nil, "after line 0: the compressed file is cut short (unexpected end)"},
		{"gzip of nothing", "l.ndjson.gz", "", nil, "after line 0: the compressed file is empty"},
		{"no gzip", "l.ndjson.gz", three, nil, "after line 0: decompress: gzip: invalid header"},
		{"no zstd", "l.ndjson.zst", three, nil, "after line 0: decompress: invalid input: magic number mismatch"},
	} {
		for _, chunk := range []int{0, 1, 7, 100, 5000} {
			if len(row.text) > 1<<16 && chunk > 0 && chunk < 100 {
				continue // takes long, and shows nothing more
			}
			t.Run(fmt.Sprintf("%s/chunk=%d", row.name, chunk), func(t *testing.T) {
				paths := write(t, row.file, row.text)
				got, err := readAll(t, paths, LogOptions{ChunkBytes: chunk})
				if !slices.Equal(got, row.want) {
					t.Errorf("got %q, want %q", got, row.want)
				}
				want := ""
				if row.wantErr != "" {
					want = "read log " + paths[0] + ": " + row.wantErr
				}
				if text(err) != want {
					t.Errorf("error %q, want %q", text(err), want)
				}
			})
		}
	}
}

// text is an error's text, "" of none.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// cutGzip compresses without shrinking, so that a cut leaves the first lines whole.
func cutGzip(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()[:b.Len()-30]
}

// TestLogErrors has the errors that OpenLogs gives.
func TestLogErrors(t *testing.T) {
	dir := t.TempDir()
	csv := filepath.Join(dir, "l.csv.gz")
	absent := filepath.Join(dir, "absent.ndjson")
	for _, row := range []struct {
		name  string
		paths []string
		o     LogOptions
		want  string
	}{
		{"none", nil, LogOptions{}, "read logs: no file named"},
		{"absent", []string{absent}, LogOptions{}, "read log " + absent + ": no such file or directory"},
		{"folder", []string{dir}, LogOptions{}, "read log " + dir + ": it is a directory"},
		{"csv", []string{csv}, LogOptions{}, "read log " + csv + ": .csv files are not supported yet (one JSON object a line is, also as .gz or .zst)"},
		{"stdin twice", []string{"-", "-"}, LogOptions{}, "read logs: standard input (-) is named twice"},
		{"too many", make([]string, MaxLogs+1), LogOptions{}, "read logs: 257 files, at most 256 can be read at once"},
		{"format", []string{absent}, LogOptions{Format: "xml"}, `event format "xml" is unknown (known: ` + strings.Join(Formats(), ", ") + `)`},
	} {
		if _, err := OpenLogs(row.paths, row.o); text(err) != row.want {
			t.Errorf("%s: got %v, want %s", row.name, err, row.want)
		}
	}
}

// TestLogsUnreadable is a file without the right to read it, where rights mean something.
func TestLogsUnreadable(t *testing.T) {
	path := write(t, "l.ndjson", "")[0]
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Open(path); err == nil {
		path = "/proc/self/mem" // root may read everything; the start of this file nobody can
		l, err := OpenLogs([]string{path}, LogOptions{})
		if err != nil {
			return
		}
		defer l.Close()
		if _, err := l.Next(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "read log "+path+": after line 0: ") {
			t.Errorf("got %v", err)
		}
		return
	}
	if _, err := OpenLogs([]string{path}, LogOptions{}); text(err) != "read log "+path+": permission denied" {
		t.Errorf("got %v", err)
	}
}

// TestLogsBombs has files that decompress to far more than they are.
func TestLogsBombs(t *testing.T) {
	zeros := strings.Repeat("\x00", 1<<20)
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := z.Write([]byte(zeros)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	// A zstd frame whose header asks for a window of 1 GiB (window descriptor 0xa0: 2^(10+20)).
	window := "\x28\xb5\x2f\xfd\x00\xa0\x03\x00\x00\x00"
	for _, row := range []struct{ name, text, want string }{
		{"l.gz", b.String(), "after line 1: refused: it decompresses to more than 500 times its size"},
		{"l.zst", window, "after line 0: refused: decompressing it needs more than 128 MiB of memory: window size exceeded"},
	} {
		paths := write(t, row.name, row.text)
		if _, err := readAll(t, paths, LogOptions{}); text(err) != "read log "+paths[0]+": "+row.want {
			t.Errorf("%s: got %v, want %s", row.name, err, row.want)
		}
	}
}

// TestLogsOrder reads several files: the one furthest behind is read next, whatever the others' clocks say.
func TestLogsOrder(t *testing.T) {
	var files []string
	for f := range 3 {
		var b strings.Builder
		for i := range 3000 {
			ms := i * 10
			if f == 1 && i == 5 {
				ms = 4_000_000_000_000 // a wrong clock
			}
			b.WriteString(line(fmt.Sprintf("%d-%d", f, i), ms) + "\n")
		}
		files = append(files, fmt.Sprintf("%d.ndjson", f), b.String())
	}
	l, err := OpenLogs(write(t, files...), LogOptions{ChunkBytes: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := l.Partitions(); !slices.Equal(got, []Partition{{"log", 0}, {"log", 1}, {"log", 2}}) {
		t.Errorf("partitions %v", got)
	}
	reached := [3]int64{}
	next := [3]int64{1, 1, 1}
	for {
		b, err := l.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Items {
			if b.Items[i].Offset != next[b.Partition] {
				t.Fatalf("file %d: line %d after %d", b.Partition, b.Items[i].Offset, next[b.Partition]-1)
			}
			next[b.Partition]++
			if ms := b.Items[i].Event.TimeMs; ms < 1e12 {
				reached[b.Partition] = ms
			}
		}
		if b.Next != next[b.Partition] {
			t.Fatalf("file %d: Next is %d, want %d", b.Partition, b.Next, next[b.Partition])
		}
		b.Release()
		if gap := max(reached[0], reached[1], reached[2]) - min(reached[0], reached[1], reached[2]); gap > 1500 {
			t.Fatalf("files run apart: %v", reached)
		}
	}
	if next != [3]int64{3001, 3001, 3001} {
		t.Errorf("read to %v", next)
	}
	if p := l.Progress(); p.Events != 9000 || p.Invalid != 0 || p.Bytes != p.BytesTotal || p.ReachedMs < 29_000 || p.ReachedMs > 30_000 {
		t.Errorf("progress %+v", p)
	}
}

// TestLogsRepeat reads the same files with any chunk size twice: the order of batches is a function of files and size alone, and the
// order within a file of the file alone.
func TestLogsRepeat(t *testing.T) {
	var files []string
	for f := range 4 {
		var b strings.Builder
		for i := range 500 {
			b.WriteString(line(fmt.Sprintf("%d-%d", f, i), i*(f+1)) + "\n")
		}
		files = append(files, fmt.Sprintf("%d.ndjson", f), b.String())
	}
	paths := write(t, files...)
	for _, chunk := range []int{50, 1000, 0} {
		first, err := readAll(t, paths, LogOptions{ChunkBytes: chunk})
		if err != nil {
			t.Fatal(err)
		}
		second, err := readAll(t, paths, LogOptions{ChunkBytes: chunk})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(first, second) {
			t.Errorf("chunk=%d: two readings differ", chunk)
		}
		if len(first) != 2000 {
			t.Errorf("chunk=%d: %d events", chunk, len(first))
		}
	}
}

// TestLogsStdin reads a pipe: lines are handed over as they come, compressed ones too, and Next gives way to its context.
func TestLogsStdin(t *testing.T) {
	r, w := io.Pipe()
	l, err := OpenLogs([]string{"-"}, LogOptions{Stdin: r})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := range 3 {
		if _, err := io.WriteString(w, line(fmt.Sprint(i), i)+"\n"); err != nil {
			t.Fatal(err)
		}
		b, err := l.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Items) != 1 || string(b.Items[0].Event.ID) != fmt.Sprint(i) || b.Items[0].Offset != int64(i+1) {
			t.Fatalf("line %d: got %+v", i, b.Items)
		}
		b.Release()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := l.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Next with nothing to read: %v", err)
	}
	w.Close()
	if b, err := l.Next(t.Context()); err != nil || !b.End || b.Next != 4 || len(b.Items) > 0 {
		t.Errorf("before the end: %+v, %v", b, err)
	}
	if _, err := l.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	if p := l.Progress(); p.BytesTotal != 0 || p.Events != 3 {
		t.Errorf("progress %+v", p)
	}
	got, err := readAll(t, []string{"-"}, LogOptions{Stdin: strings.NewReader(gzipped(t, line("z", 1)))})
	if err != nil || !slices.Equal(got, []string{"0:1 z"}) {
		t.Errorf("compressed: %q, %v", got, err)
	}
}

// TestLogsClose closes in the middle: nothing hangs, held batches stay readable, Next says what happened.
func TestLogsClose(t *testing.T) {
	text := strings.Repeat(line("a", 1)+"\n", 50_000)
	l, err := OpenLogs(write(t, "0.ndjson", text, "1.ndjson", text), LogOptions{ChunkBytes: 1000})
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(b.Items[0].Event.ID); got != "a" {
		t.Errorf("held batch: %q", got)
	}
	b.Release()
	if _, err := l.Next(t.Context()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Next after Close: %v", err)
	}
}

// TestLogsManyLines holds the bound on a batch's items: a file of nothing but short lines comes in many batches.
func TestLogsManyLines(t *testing.T) {
	const lines = 3*linesMost + 17
	l, err := OpenLogs(write(t, "l.ndjson", strings.Repeat("x\n", lines)), LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	total := int64(0)
	for {
		b, err := l.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Items) > linesMost || (len(b.Items) > 0 && b.Items[0].Offset != total+1) || b.End != (total == lines) {
			t.Fatalf("%d items, end %v, after %d", len(b.Items), b.End, total)
		}
		total += int64(len(b.Items))
		b.Release()
	}
	if p := l.Progress(); total != lines || p.Invalid != lines {
		t.Errorf("%d lines, want %d; progress %+v", total, lines, p)
	}
}

// BenchmarkLogs reads and decodes a file of events of about 170 and 300 bytes, plain and compressed, on all processors.
func BenchmarkLogs(b *testing.B) {
	for _, full := range []bool{false, true} {
		var text bytes.Buffer
		for range 100 {
			for _, e := range benchEvents(full) {
				text.Write(e)
				text.WriteByte('\n')
			}
		}
		const events = 100 * 1024
		dir := b.TempDir()
		plain := filepath.Join(dir, "l.ndjson")
		packed := filepath.Join(dir, "l.ndjson.gz")
		small := filepath.Join(dir, "l.ndjson.zst")
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		_, _ = w.Write(text.Bytes())
		w.Close()
		enc, err := zstd.NewWriter(nil)
		if err != nil {
			b.Fatal(err)
		}
		for path, content := range map[string][]byte{plain: text.Bytes(), packed: z.Bytes(), small: enc.EncodeAll(text.Bytes(), nil)} {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				b.Fatal(err)
			}
		}
		enc.Close()
		for _, path := range []string{plain, packed, small} {
			b.Run(fmt.Sprintf("full=%v/%s", full, filepath.Ext(path)[1:]), func(b *testing.B) {
				b.ReportAllocs()
				began := cpuTime()
				for b.Loop() {
					l, err := OpenLogs([]string{path}, LogOptions{})
					if err != nil {
						b.Fatal(err)
					}
					n := 0
					for {
						batch, err := l.Next(context.Background())
						if errors.Is(err, io.EOF) {
							break
						}
						if err != nil {
							b.Fatal(err)
						}
						n += len(batch.Items)
						batch.Release()
					}
					if n != events {
						b.Fatalf("%d events", n)
					}
					l.Close()
				}
				reportEvents(b, began, text.Len(), events)
			})
		}
	}
}
