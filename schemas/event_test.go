package schemas

import (
	"reflect"
	"testing"
)

func TestKindsHaveTheirNames(t *testing.T) {
	for kind, want := range map[Kind]string{KindUnknown: "unknown", KindPrediction: "prediction", KindOutcome: "outcome", KindSample: "sample", 9: "unknown"} {
		if got := kind.String(); got != want {
			t.Errorf("kind %d: got %s, want %s", kind, got, want)
		}
	}
}

func TestResetKeepsOnlyTheMemory(t *testing.T) {
	e := Event{Kind: KindSample, ID: []byte("a"), SampledBy: 5, Values: make([]Value, 3, 8)}
	e.Reset()
	if want := (Event{SampledBy: 1, Values: []Value{}}); !reflect.DeepEqual(e, want) || cap(e.Values) != 8 {
		t.Errorf("got %+v with room for %d values", e, cap(e.Values))
	}
}
