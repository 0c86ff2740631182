package ingest

import (
	"testing"

	"streamcanary/schemas"
)

// TestRefusedKind holds what a record that is refused counts as: what it says it is, else what the source holds.
func TestRefusedKind(t *testing.T) {
	for _, c := range []struct {
		name, in string
		holds    schemas.Kind
		want     schemas.Kind
	}{
		{"says so", `{"type":"sample","ts":-1}`, schemas.KindUnknown, schemas.KindSample},
		{"says so, with a wrong field", `{"type":"prediction","id":"a","ts":1,"model":"m","version":"v","latency_ms":-1}`, schemas.KindUnknown, schemas.KindPrediction},
		{"the source holds one kind", `{"id":"a"}`, schemas.KindOutcome, schemas.KindOutcome},
		{"cut off in a mixed source", `{"type":"prediction","id":`, schemas.KindUnknown, schemas.KindUnknown},
		{"cut off in a source of one kind", `{"id":`, schemas.KindPrediction, schemas.KindPrediction},
		{"too big for a source of one kind", string(make([]byte, schemas.MaxEventBytes+1)), schemas.KindOutcome, schemas.KindOutcome},
		{"no type in a mixed source", `{"id":"a","ts":1}`, schemas.KindUnknown, schemas.KindUnknown},
		{"an unknown type", `{"type":"guess","id":"a","ts":1}`, schemas.KindUnknown, schemas.KindUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := NewDecoder("json", Options{Want: c.holds})
			if err != nil {
				t.Fatal(err)
			}
			var b Batch
			b.Take(d, Record{Value: []byte(c.in)})
			if len(b.Items) != 1 || b.Items[0].Err == nil {
				t.Fatalf("items %v, want one that is refused", b.Items)
			}
			want := schemas.Event{Kind: c.want, SampledBy: 1}
			if got := b.Items[0].Event; got.Kind != want.Kind || render(&got) != render(&want) {
				t.Errorf("event %s, want nothing but the kind %s", render(&got), c.want)
			}
		})
	}
}
