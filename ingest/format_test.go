package ingest

import (
	"bytes"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"streamcanary/schemas"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldens reads the sample records of a format: testdata/formats/FORMAT/NAME.in, each with NAME.golden beside it, which has
// what it decodes to, an item a line.
func goldens(t testing.TB, format string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "formats", format, "*.in"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("format %s has no samples in testdata/formats/%s (%v)", format, format, err)
	}
	samples := map[string][]byte{}
	for _, path := range paths {
		if samples[path], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	return samples
}

// decoderFor makes a decoder of mixed types.
func decoderFor(t testing.TB, format string, want schemas.Kind) Decoder {
	t.Helper()
	d, err := NewDecoder(format, Options{Want: want})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// take decodes one record and returns its items as lines.
func take(d Decoder, b *Batch, value []byte) string {
	from := len(b.Items)
	b.Take(d, Record{Value: value, Offset: 1})
	var lines []string
	for i := from; i < len(b.Items); i++ {
		lines = append(lines, renderItem(&b.Items[i]))
	}
	return strings.Join(lines, "\n") + "\n"
}

// TestFormats holds for every registered format, so that a new one needs only its samples.
func TestFormats(t *testing.T) {
	for _, format := range Formats() {
		samples := goldens(t, format)
		t.Run(format+"/golden", func(t *testing.T) { testGolden(t, format, samples) })
		t.Run(format+"/kinds", func(t *testing.T) { testKinds(t, format, samples) })
		t.Run(format+"/truncated", func(t *testing.T) { testTruncated(t, format, samples) })
		t.Run(format+"/reuse", func(t *testing.T) { testReuse(t, format, samples) })
		t.Run(format+"/size", func(t *testing.T) { testSize(t, format) })
		t.Run(format+"/allocations", func(t *testing.T) { testAllocations(t, format, samples) })
	}
}

// testGolden compares what samples decode to with what was read in review.
func testGolden(t *testing.T, format string, samples map[string][]byte) {
	d := decoderFor(t, format, schemas.KindUnknown)
	for path, value := range samples {
		golden := strings.TrimSuffix(path, ".in") + ".golden"
		got := take(d, new(Batch), value)
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s:\ngot  %swant %s", path, got, want)
		}
	}
}

// testKinds checks that each kind has a sample, and that a source of one kind refuses the others.
func testKinds(t *testing.T, format string, samples map[string][]byte) {
	kinds := []schemas.Kind{schemas.KindPrediction, schemas.KindOutcome, schemas.KindSample}
	seen := map[schemas.Kind]bool{}
	for path, value := range samples {
		var mixed Batch
		take(decoderFor(t, format, schemas.KindUnknown), &mixed, value)
		if mixed.Items[0].Err != nil {
			continue
		}
		kind := mixed.Items[0].Event.Kind
		seen[kind] = true
		for _, want := range kinds {
			var b Batch
			take(decoderFor(t, format, want), &b, value)
			bad := b.Items[0].Err
			if (want == kind) != (bad == nil) || (bad != nil && bad.Reason != ReasonType) {
				t.Errorf("%s as %s: %v", path, want, bad)
			}
		}
	}
	for _, kind := range kinds {
		if !seen[kind] {
			t.Errorf("no sample of a %s", kind)
		}
	}
}

// testTruncated cuts samples at every byte: the decoder must refuse with a reason, or give valid events.
func testTruncated(t *testing.T, format string, samples map[string][]byte) {
	d := decoderFor(t, format, schemas.KindUnknown)
	var b Batch
	for path, value := range samples {
		for n := range value {
			b.Reset(0)
			take(d, &b, value[:n])
			for i := range b.Items {
				if problem := broken(&b.Items[i]); problem != "" {
					t.Errorf("%s cut at %d: %s", path, n, problem)
				}
			}
		}
	}
}

// testReuse decodes all samples into one batch, twice: events must not change each other, and a used batch and decoder, also one
// that has refused something, must decode as new ones do.
func testReuse(t *testing.T, format string, samples map[string][]byte) {
	d := decoderFor(t, format, schemas.KindUnknown)
	var b Batch
	for round := range 3 {
		b.Reset(round)
		var want []string
		for _, value := range samples {
			take(d, &b, []byte("no record of any format"))
			take(d, &b, value)
			fresh := new(Batch)
			take(decoderFor(t, format, schemas.KindUnknown), fresh, value)
			for i := range fresh.Items {
				want = append(want, renderItem(&fresh.Items[i]))
			}
		}
		var got []string
		for i := range b.Items {
			if line := renderItem(&b.Items[i]); string(b.Record(i).Value) != "no record of any format" {
				got = append(got, line)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("round %d:\ngot  %q\nwant %q", round, got, want)
		}
	}
}

// testSize holds the bound on a record's size.
func testSize(t *testing.T, format string) {
	var b Batch
	take(decoderFor(t, format, schemas.KindUnknown), &b, bytes.Repeat([]byte(" "), schemas.MaxEventBytes+1))
	if bad := b.Items[0].Err; bad == nil || bad.Reason != ReasonTooBig {
		t.Errorf("a record beyond the bound: %v", bad)
	}
}

// testAllocations decodes valid samples into a grown batch: nothing may be allocated.
func testAllocations(t *testing.T, format string, samples map[string][]byte) {
	d := decoderFor(t, format, schemas.KindUnknown)
	var b Batch
	for path, value := range samples {
		r := Record{Value: value}
		if b.Take(d, r); b.Items[len(b.Items)-1].Err != nil {
			continue
		}
		if n := testing.AllocsPerRun(100, func() {
			b.Reset(0)
			b.Take(d, r)
		}); n != 0 {
			t.Errorf("%s: %v allocations", path, n)
		}
	}
}

// broken says what is wrong with an item that a decoder made, whatever it was made of.
func broken(item *Item) string {
	e := &item.Event
	if item.Err != nil {
		if item.Err.Reason == "" || item.Err.Detail == "" || !utf8.ValidString(item.Err.Detail) || len(item.Err.Detail) > 400 {
			return "a refusal without a proper reason: " + item.Err.Error()
		}
		return ""
	}
	names := [][]byte{e.ID, e.Model, e.Version, e.Code, e.Segment, e.Host, e.Region, e.Unit, e.Name, e.EventID}
	numbers := []float64{e.LatencyMs, e.SampledBy, e.Score, e.Value}
	for _, v := range e.Values {
		names, numbers = append(names, v.Name), append(numbers, v.Number)
	}
	for _, name := range names {
		if len(name) > schemas.MaxNameBytes || !utf8.Valid(name) || (name != nil && len(name) == 0) {
			return "a bad name: " + string(name)
		}
	}
	for _, x := range numbers {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return "a number that isn't finite"
		}
	}
	prediction := e.Kind == schemas.KindPrediction && e.ID != nil && e.Model != nil && e.Version != nil
	outcome := e.Kind == schemas.KindOutcome && e.ID != nil && e.Name != nil
	sample := e.Kind == schemas.KindSample && e.Model != nil && e.Version != nil && e.Name != nil
	switch {
	case !prediction && !outcome && !sample:
		return "a kind without what it needs"
	case e.TimeMs < 0 || e.TimeMs > timeMax || e.LatencyMs < 0 || e.SampledBy < 1 || e.Attempt < 0 || len(e.Values) > schemas.MaxValues:
		return "a number out of range"
	}
	return ""
}

// FuzzFormats feeds every format with anything: no panic, and every item is proper.
func FuzzFormats(f *testing.F) {
	names := Formats()
	for i, format := range names {
		for _, value := range goldens(f, format) {
			f.Add(uint8(i), uint8(0), value)
		}
	}
	f.Fuzz(func(t *testing.T, format, want uint8, value []byte) {
		d := decoderFor(t, names[int(format)%len(names)], schemas.Kind(want%4))
		var b Batch
		for range 2 { // the second time with what the decoder has learnt
			take(d, &b, value)
		}
		for i := range b.Items {
			if problem := broken(&b.Items[i]); problem != "" {
				t.Errorf("%s: %s", problem, renderItem(&b.Items[i]))
			}
		}
		if n := len(b.Items); n%2 != 0 || renderItem(&b.Items[0]) != renderItem(&b.Items[n/2]) {
			t.Errorf("decoded twice: %d items, first %s, then %s", n, renderItem(&b.Items[0]), renderItem(&b.Items[n/2]))
		}
	})
}

// TestNewDecoder checks that an unknown format's error lists what exists.
func TestNewDecoder(t *testing.T) {
	_, err := NewDecoder("xml", Options{})
	if err == nil || err.Error() != `event format "xml" is unknown (known: `+strings.Join(Formats(), ", ")+`)` {
		t.Errorf("got %v", err)
	}
}
