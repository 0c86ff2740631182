package ingest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"streamcanary/schemas"
)

var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the random tests; printed by them")

// A jsonWriter writes random texts that are mostly events: members in any order, white space, escapes, values at and beyond the
// bounds, now and then a wrong type, a duplicate, or a byte changed.
type jsonWriter struct {
	*rand.Rand
	strings.Builder
}

func (w *jsonWriter) space() {
	if w.IntN(8) == 0 {
		w.WriteString([]string{" ", "\t", "\r\n", "  "}[w.IntN(4)])
	}
}

// text writes a string, some of it in escapes.
func (w *jsonWriter) text(s string) {
	w.WriteByte('"')
	for _, r := range s {
		switch n := w.IntN(30); {
		case n == 0 && r < 0x10000:
			fmt.Fprintf(w, `\u%04x`, r)
		case r == '"' || r == '\\':
			w.WriteString(`\` + string(r))
		case r == '\n':
			w.WriteString(`\n`)
		default:
			w.WriteRune(r)
		}
	}
	if w.IntN(60) == 0 {
		w.WriteString([]string{`\ud800`, `\udfff\ud800`, `\ud83d\ude00`, `\/`, "\x01", "\xff", `\x`, `\u12`}[w.IntN(8)])
	}
	w.WriteByte('"')
}

var randomTexts = []string{
	"a", "click", "", "ranker", "käse", "日本語テキスト", "with \"quotes\" and \\", "two\nlines", "prediction", "outcome", "sample",
	strings.Repeat("x", 127), strings.Repeat("x", 128), strings.Repeat("x", 129), strings.Repeat("é", 64), strings.Repeat("é", 65),
	"2025-10-09T09:00:00Z", "2025-10-09T09:00:00.123456+05:30", "2024-02-29T23:59:59.9Z", "2023-02-29T00:00:00Z", "1969-12-31T23:59:59Z",
	"9999-12-31T23:59:59.999Z", "0000-01-01T00:00:00Z", "2025-10-09t09:00:00z", "2025-10-09T24:00:00Z", "2025-10-09T09:00:60Z", "2025-10-09T09:00:00,5Z",
}

var randomNumbers = []string{
	"0", "-0", "1", "-1", "1.5", "1760000400000", "1760000400000.75", "1e3", "1E-3", "0.99999999999999999", "1.0000000000000001", "2147483647",
	"2147483648", "253402300799999", "253402300799999.9", "253402300800000", "1e308", "1e309", "-1e309", "1e-400", "123456789012345678901234567890",
	"0.1234567890123456789", "9007199254740993", "01", "1.", "-", "+1", ".5", "1e", "NaN", "Infinity",
}

func (w *jsonWriter) number() {
	if w.IntN(2) == 0 {
		fmt.Fprintf(w, "%.*f", w.IntN(18), w.Float64()*1000)
		return
	}
	w.WriteString(randomNumbers[w.IntN(len(randomNumbers)-w.IntN(2)*8)])
}

// value writes any value.
func (w *jsonWriter) value(depth int) {
	switch n := w.IntN(12); {
	case n < 3:
		w.text(randomTexts[w.IntN(len(randomTexts))])
	case n < 6:
		w.number()
	case n < 8:
		w.WriteString([]string{"true", "false", "null", "tru", "True"}[w.IntN(3+w.IntN(20)/19*2)])
	case depth > 3+w.IntN(40):
		w.WriteString("null")
	case n < 10:
		w.object(depth+1, func() string { return fmt.Sprintf("k%d", w.IntN(40)) })
	default:
		w.list('[', ']', func() { w.value(depth + 1) })
	}
}

// list writes brackets and what each writes, with commas.
func (w *jsonWriter) list(open, end byte, each func()) {
	w.WriteByte(open)
	for i := range w.IntN(4) {
		if i > 0 {
			w.WriteByte(',')
		}
		w.space()
		each()
		w.space()
	}
	w.WriteByte(end)
}

func (w *jsonWriter) object(depth int, key func() string) {
	w.list('{', '}', func() {
		w.text(key())
		w.space()
		w.WriteByte(':')
		w.space()
		w.value(depth)
	})
}

// event writes what is an event, or nearly one.
func (w *jsonWriter) event() string {
	w.Reset()
	var members []string
	kind := []string{"prediction", "outcome", "sample"}[w.IntN(3)]
	for f := fieldType; f < fieldCount; f++ {
		members = append(members, f.String())
	}
	w.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	needed := map[string]string{"type": kind, "id": "i-1", "ts": "2025-10-09T09:00:00.5Z", "model": "m", "version": "v", "name": "n"}
	w.space()
	w.WriteByte('{')
	n := 0
	for _, key := range members {
		text, need := needed[key]
		need = need || key == "value" && kind == "sample"
		if !need && w.IntN(3) > 0 || need && w.IntN(60) == 0 {
			continue
		}
		if n++; n > 1 {
			w.WriteByte(',')
		}
		w.space()
		w.text(key)
		w.space()
		w.WriteByte(':')
		w.space()
		w.member(key, text)
		w.space()
	}
	if w.IntN(10) == 0 {
		fmt.Fprintf(w, `,"u%d":`, w.IntN(3))
		w.value(1)
	}
	w.WriteByte('}')
	w.space()
	return w.String()
}

// member writes the value of a known key: mostly of its type.
func (w *jsonWriter) member(key, text string) {
	switch {
	case w.IntN(25) == 0:
		w.value(1)
	case text != "":
		w.text(text)
	case key == "error" || key == "timeout" || key == "shadow" || key == "cache_hit":
		w.WriteString([]string{"true", "false"}[w.IntN(2)])
	case key == "attempt" || key == "sampled_by":
		fmt.Fprint(w, 1+w.IntN(5))
	case key == "latency_ms" || key == "score" || key == "value":
		w.number()
	case key == "values":
		n := 0
		w.list('{', '}', func() {
			w.text(fmt.Sprintf("v%d", n*w.IntN(9)/8+n))
			w.WriteByte(':')
			w.number()
			n += 2
		})
	default:
		w.text(randomTexts[w.IntN(len(randomTexts))])
	}
}

// TestJSONRandom compares random events with what encoding/json makes of them. One decoder of each sort reads them all, so that what
// it learns of one event is tried on the next.
func TestJSONRandom(t *testing.T) {
	t.Logf("-seed=%d", *seed)
	w := &jsonWriter{Rand: rand.New(rand.NewPCG(*seed, 1))}
	var decoders [4]Decoder
	for want := range decoders {
		decoders[want] = decoderFor(t, "json", schemas.Kind(want))
	}
	var b Batch
	good, rounds := 0, 5_000
	if testing.Short() {
		rounds = 500
	}
	for range rounds {
		text := []byte(w.event())
		if w.IntN(6) == 0 {
			text[w.IntN(len(text))] = byte(w.IntN(256))
		}
		if w.IntN(20) == 0 {
			text = text[:w.IntN(len(text))]
		}
		want := schemas.Kind(w.IntN(8) / 5 * w.IntN(4))
		b.Reset(0)
		b.Take(decoders[want], Record{Value: text})
		sameAsOracle(t, text, want, &b.Items[0])
		if b.Items[0].Err == nil {
			good++
		}
	}
	if good < rounds/10 || good > rounds*9/10 {
		t.Errorf("%d of %d texts are events: the generator is lopsided", good, rounds)
	}
	t.Logf("%d of %d texts are events", good, rounds)
}

// TestJSONGuess reads events whose keys are nearly those of the event before: one byte of the raw key differs, at each place of keys of
// every length up to beyond what is remembered.
func TestJSONGuess(t *testing.T) {
	d := decoderFor(t, "json", schemas.KindUnknown)
	var b Batch
	for n := 1; n < guessMax+4; n++ {
		if n > 24 && n < guessMax-4 {
			continue // as with 24
		}
		key := strings.Repeat("k", n)
		for at := range n {
			other := key[:at] + "q" + key[at+1:]
			b.Reset(0)
			for _, text := range []string{
				fmt.Sprintf(`{%q:1,%q:2,"type":"outcome","id":"i","ts":1,"name":"n"}`, key, other),
				fmt.Sprintf(`{%q:1,%q:2,"type":"outcome","id":"i","ts":1,"name":"n"}`, key, other),
				fmt.Sprintf(`{%q:1,%q:2,"type":"outcome","id":"i","ts":1,"name":"n"}`, other, key),
				fmt.Sprintf(`{%q:1,%q:2,"type":"outcome","id":"i","ts":1,"name":"n"}`, other, other),
				fmt.Sprintf(`{%q:1,%q :2,"type":"outcome","id":"i","ts":1,"name":"n"}`, key, other),
				fmt.Sprintf(`{%q:1,%q :2,"type":"outcome","id":"i","ts":1,"name":"n"}`, key, key),
				fmt.Sprintf(`{%q:1,%q:`, key, other),
			} {
				b.Take(d, Record{Value: []byte(text)})
				sameAsOracle(t, []byte(text), schemas.KindUnknown, &b.Items[len(b.Items)-1])
			}
		}
	}
}
