package loadgen

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strconv"
	"testing"

	"streamcanary/schemas"
)

func TestAppendJSON(t *testing.T) {
	b := func(s string) []byte { return []byte(s) }
	rows := []struct {
		name string
		in   schemas.Event
		want string
	}{
		{"the shortest prediction", schemas.Event{Kind: schemas.KindPrediction, ID: b("a"), TimeMs: 5, Model: b("m"), Version: b("v"), SampledBy: 1},
			`{"type":"prediction","id":"a","ts":5,"model":"m","version":"v","error":false,"timeout":false}`},
		{"all of a prediction", schemas.Event{
			Kind: schemas.KindPrediction, ID: b("a"), TimeMs: 1767603600123, Model: b("m"), Version: b("v"), HasLatency: true, LatencyMs: 12.3456789,
			Error: true, Timeout: true, Shadow: true, HasCacheHit: true, HasScore: true, Score: -0.5, Attempt: 2, SampledBy: 10, Code: b("oom"),
			Segment: b("web"), Host: b("h"), Region: b("eu"), Unit: b("u"), Values: []schemas.Value{{Name: b("ttft_ms"), Number: 31.5}, {Name: b("tokens"), Number: 7}},
		}, `{"type":"prediction","id":"a","ts":1767603600123,"model":"m","version":"v","latency_ms":12.3456789,"error":true,"timeout":true,"code":"oom",` +
			`"segment":"web","host":"h","region":"eu","unit":"u","attempt":2,"shadow":true,"cache_hit":false,"score":-0.5,"sampled_by":10,"values":{"ttft_ms":31.5,"tokens":7}}`},
		{"a latency of zero is one", schemas.Event{Kind: schemas.KindPrediction, ID: b("a"), Model: b("m"), Version: b("v"), HasLatency: true, SampledBy: 1},
			`{"type":"prediction","id":"a","ts":0,"model":"m","version":"v","latency_ms":0,"error":false,"timeout":false}`},
		{"the shortest outcome", schemas.Event{Kind: schemas.KindOutcome, ID: b("a"), TimeMs: 5, Name: b("click"), Value: 1},
			`{"type":"outcome","id":"a","ts":5,"name":"click"}`},
		{"all of an outcome", schemas.Event{Kind: schemas.KindOutcome, ID: b("a"), TimeMs: 5, Model: b("m"), Version: b("v"), Name: b("buy"), EventID: b("e"), Value: 19.99},
			`{"type":"outcome","id":"a","ts":5,"model":"m","version":"v","name":"buy","event_id":"e","value":19.99}`},
		{"a sample", schemas.Event{Kind: schemas.KindSample, TimeMs: 5, Model: b("m"), Version: b("v"), Host: b("h"), Name: b("cpu"), Value: 1},
			`{"type":"sample","ts":5,"model":"m","version":"v","host":"h","name":"cpu","value":1}`},
		{"text that has to be escaped", schemas.Event{Kind: schemas.KindOutcome, ID: b("a\"\\\n\x00é\xff"), Name: b("click"), Value: 1},
			`{"type":"outcome","id":"a\"\\\u000a\u0000é` + "\uFFFD" + `","ts":0,"name":"click"}`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			got := string(AppendJSON([]byte("before "), &row.in))
			if got != "before "+row.want || !json.Valid([]byte(row.want)) {
				t.Errorf("got  %s\nwant before %s", got, row.want)
			}
		})
	}
}

func TestBrokenIsNoJSON(t *testing.T) {
	r := Record{Event: schemas.Event{Kind: schemas.KindOutcome, ID: []byte("a"), Name: []byte("click"), Value: 1}, Broken: true}
	if got, want := string(r.AppendJSON([]byte("x"))), `x{"type":"outcome","id":"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// recordSink keeps what is written, as long as the fields alone are looked at.
type recordSink struct {
	kinds  [4]int
	broken int
	stop   error
}

func (s *recordSink) Write(kind schemas.Kind, key, value []byte, _ int64) error {
	var e struct{ Type, ID, Host string }
	if json.Unmarshal(value, &e) != nil {
		s.broken++
		return nil
	}
	s.kinds[kind]++
	if e.Type != kind.String() || kind == schemas.KindSample && e.Host != string(key) || kind != schemas.KindSample && e.ID != string(key) {
		s.stop = errors.New("kind or key don't fit " + string(value))
	}
	return s.stop
}

func TestPump(t *testing.T) {
	s := load(t, "dirty-transport")
	s.Duration /= 20
	g := New(s, 0)
	var sink recordSink
	written, err := Pump(g, &sink)
	if err != nil {
		t.Fatal(err)
	}
	var want [4]int
	broken := 0
	for arm := range Arms {
		for k := schemas.KindPrediction; k <= schemas.KindSample; k++ {
			tally := g.Tally(arm, k)
			want[k] += int(tally.Events - tally.Lost + tally.Doubled - tally.Broken)
			broken += int(tally.Broken)
		}
	}
	if sink.kinds != want || sink.broken != broken || broken == 0 || int(written) != want[1]+want[2]+want[3]+broken {
		t.Errorf("written %d: %v and %d broken; want %v and %d", written, sink.kinds, sink.broken, want, broken)
	}
}

// FuzzAppendNumber: what is written is JSON, and reads back as the same number.
func FuzzAppendNumber(f *testing.F) {
	for _, x := range []float64{0, 1, 0.1, 0.0001, 0.00001, 12.345, 999999999.9999, 1e9, 1e300, 5e-324, -1, -0.25, 123.4567, 0.3 - 0.1} {
		f.Add(x)
	}
	f.Fuzz(func(t *testing.T, x float64) {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return
		}
		text := appendNumber(nil, x)
		var got float64
		if err := json.Unmarshal(text, &got); err != nil || got != x {
			t.Errorf("%g became %s: %g, %v", x, text, got, err)
		}
		if shortest := strconv.FormatFloat(x, 'f', -1, 64); len(text) > len(shortest) {
			t.Errorf("%g became %s; want %s", x, text, shortest)
		}
	})
}

// FuzzAppendText: what is written is JSON, and reads back as the same text, with U+FFFD for what was none.
func FuzzAppendText(f *testing.F) {
	f.Add([]byte("plain"))
	f.Add([]byte("\"\\\n\t\x00\x1f\x7f é \xff\xc3 \u2028"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var got string
		if err := json.Unmarshal(appendText(nil, text), &got); err != nil || got != string([]rune(string(text))) {
			t.Errorf("%q became %q, %v", text, got, err)
		}
	})
}

// TestKeepsEverything: a generated prediction and its JSON say the same.
func TestKeepsEverything(t *testing.T) {
	g := New(load(t, "demo"), 0)
	var r Record
	for i := 0; i < 2000 && g.Next(&r); i++ {
		var got map[string]any
		if err := json.Unmarshal(r.AppendJSON(nil), &got); err != nil {
			t.Fatal(err)
		}
		if r.Event.Kind != schemas.KindPrediction {
			continue
		}
		e := &r.Event
		want := map[string]any{
			"type": "prediction", "id": string(e.ID), "ts": float64(e.TimeMs), "model": string(e.Model), "version": string(e.Version),
			"error": e.Error, "timeout": e.Timeout, "segment": string(e.Segment), "host": string(e.Host), "unit": string(e.Unit), "latency_ms": e.LatencyMs,
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %v\nwant %v", got, want)
		}
	}
}
