package stats

import (
	"encoding/json"
	"math"
	"os"
	"strconv"
	"testing"
)

// The oracle files hold numbers computed elsewhere (60-digit arithmetic, enumeration, reference packages), with the
// provenance of each. Each file's kinds and what runs them are listed beside its cases.

type tolerance struct{ Abs, Rel float64 }

func (tol tolerance) check(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol.Abs+tol.Rel*math.Abs(want)) {
		t.Errorf("%s: got %.15g, want %.15g (off by %.3g)", what, got, want, got-want)
	}
}

func (tol tolerance) checkAll(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %d values, want %d", what, len(got), len(want))
	}
	for i := range got {
		tol.check(t, what+"["+strconv.Itoa(i)+"]", got[i], want[i])
	}
}

func readOracle(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
