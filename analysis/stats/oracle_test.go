package stats

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
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
	readStrictly(t, data, into)
}

// readStrictly refuses what into has no place for: a number that no test would look at.
func readStrictly(t *testing.T, data []byte, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatal(err)
	}
}

// expected is what an oracle's case says must come out. A value that is asked for is taken away, so that what is left is what nobody has compared.
type expected map[string]json.RawMessage

func (e expected) take(t *testing.T, key string, into any) {
	t.Helper()
	readStrictly(t, e[key], into)
	delete(e, key)
}

func (e expected) number(t *testing.T, key string) (x float64) { e.take(t, key, &x); return x }

func (e expected) numbers(t *testing.T, key string) (xs []float64) { e.take(t, key, &xs); return xs }

func (e expected) places(t *testing.T, key string) (xs []int) { e.take(t, key, &xs); return xs }

// crossings are, for levels as text, the first place at which the evidence reaches them; null, or -1: none.
func (e expected) crossings(t *testing.T, key string) map[string]*int {
	all := map[string]*int{}
	e.take(t, key, &all)
	return all
}

// done fails where something was not compared.
func (e expected) done(t *testing.T) {
	t.Helper()
	if len(e) > 0 {
		t.Errorf("nobody compares %v", slices.Sorted(maps.Keys(e)))
	}
}

// firstAt is where log evidence first reaches 1/alpha; -1: nowhere.
func firstAt(logE []float64, alpha float64) int {
	return slices.IndexFunc(logE, func(x float64) bool { return x >= math.Log(1/alpha) })
}

// checkCrossings compares where evidence crosses with what an oracle says: null and -1 are nowhere.
func checkCrossings(t *testing.T, logE []float64, want map[string]*int) {
	t.Helper()
	for level, at := range want {
		alpha, err := strconv.ParseFloat(level, 64)
		if err != nil {
			t.Fatal(err)
		}
		wantAt := -1
		if at != nil {
			wantAt = *at
		}
		if got := firstAt(logE, alpha); got != wantAt {
			t.Errorf("reaches 1/%s at %d, want %d", level, got, wantAt)
		}
	}
}

// runsElsewhere fails unless the tests of another package of this project name the kind.
func runsElsewhere(t *testing.T, kind, folder string) {
	t.Helper()
	files, err := filepath.Glob("../../" + folder + "/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		source, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(source, []byte(strconv.Quote(kind))) {
			return
		}
	}
	t.Errorf("no test of %s names the kind %s", folder, kind)
}
