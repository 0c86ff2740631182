package decisions

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// inDigest are the fields of a decision that its digest has, but for what outsideDigest names.
var inDigest = map[string]bool{"Action": true, "Phase": true, "Stage": true, "Rollout": true, "Model": true, "Epoch": true, "Seq": true,
	"Routes": true, "Reason": true, "EventTime": true}

func full() *schemas.Decision {
	d := &schemas.Decision{}
	fill(reflect.ValueOf(d).Elem(), 1)
	return d
}

// fill sets every field below v to something that isn't zero.
func fill(v reflect.Value, n int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n+i+1)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n+100)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	case reflect.String:
		v.SetString(string(rune('a' + n%26)))
	case reflect.Float64:
		v.SetFloat(float64(n) / 4)
	case reflect.Int, reflect.Int64, reflect.Int32:
		v.SetInt(int64(n))
	case reflect.Bool:
		v.SetBool(true)
	}
}

// eachLeaf calls fn for every text and number below v; fn changes it and its return puts it back.
func eachLeaf(v reflect.Value, path string, fn func(path string, v reflect.Value)) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			eachLeaf(v.Field(i), path+"."+v.Type().Field(i).Name, fn)
		}
	case reflect.Pointer:
		eachLeaf(v.Elem(), path, fn)
	case reflect.Slice:
		for i := range v.Len() {
			eachLeaf(v.Index(i), path, fn)
		}
	case reflect.Map:
	default:
		fn(path, v)
	}
}

// outsideDigest says which parts of a reason are only shown: what is derived, or found to be looked up; and a file's hash, which is in no digest.
func outsideDigest(path string) bool {
	return strings.Contains(path, ".Exemplars.") || strings.HasSuffix(path, ".OfflineSha256") || strings.HasSuffix(path, ".Changed") || strings.HasSuffix(path, ".Capped") || strings.Contains(path, ".Difference.")
}

// TestDigestFields: each field of the contract changes the digest, so that one added to the reason can't be forgotten, and nothing else does.
func TestDigestFields(t *testing.T) {
	d := full()
	want := AppendDigest(nil, d)
	leaves := 0
	for i := range reflect.TypeFor[schemas.Decision]().NumField() {
		name := reflect.TypeFor[schemas.Decision]().Field(i).Name
		eachLeaf(reflect.ValueOf(d).Elem().Field(i), name, func(path string, v reflect.Value) {
			old := reflect.New(v.Type()).Elem()
			old.Set(v)
			if fill(v, 999); v.Kind() == reflect.Bool {
				v.SetBool(!old.Bool())
			}
			if changed := !bytes.Equal(AppendDigest(nil, d), want); changed != (inDigest[name] && !outsideDigest(path)) {
				t.Errorf("%s changes the digest: %v, want %v", path, changed, !changed)
			}
			v.Set(old)
			leaves++
		})
	}
	if !bytes.Equal(AppendDigest(nil, d), want) {
		t.Fatal("the test did not put everything back")
	}
	t.Logf("%d leaves", leaves)
}

func TestDigestNumbers(t *testing.T) {
	of := func(x float64) string {
		return string(AppendDigest(nil, &schemas.Decision{Reason: schemas.Reason{Guardrails: []schemas.GuardrailStatus{{LogEvidence: x}}}}))
	}
	if of(1) != of(1+1e-10) || of(1) == of(1+2e-9) || of(0) != of(math.Copysign(0, -1)) {
		t.Error("numbers are not rounded to 1e-9")
	}
	if of(1e300) == of(2e300) || of(math.Inf(1)) == of(math.MaxFloat64) {
		t.Error("large numbers are not told apart")
	}
	zero := 0.0
	absent := schemas.Decision{Reason: schemas.Reason{Guardrails: []schemas.GuardrailStatus{{}}}}
	present := schemas.Decision{Reason: schemas.Reason{Guardrails: []schemas.GuardrailStatus{{Estimate: &zero}}}}
	if bytes.Equal(AppendDigest(nil, &absent), AppendDigest(nil, &present)) {
		t.Error("an absent estimate is a zero one")
	}
	if have := string(AppendDigest([]byte("x"), &absent)); have[0] != 'x' {
		t.Error("it doesn't append")
	}
}

// TestDigestAdditions: a status without the fields that came later has the bytes that it always had, and one that has any of them differs.
func TestDigestAdditions(t *testing.T) {
	of := func(g schemas.GuardrailStatus) []byte {
		two := []schemas.GuardrailStatus{g, {Name: "b"}}
		return AppendDigest(nil, &schemas.Decision{Reason: schemas.Reason{Guardrails: two}})
	}
	plain := of(schemas.GuardrailStatus{Name: "a"})
	// Names, sizes and counts below: 1 text of one letter and 7 empty ones, 4 unknown numbers and an unknown interval, 6 zero ones, 2 arms, 3 times.
	status := func(name byte) []byte {
		b := []byte{1, name, 0, 0, 0, 0, 0, 0, 0, 'n', 'n', 'n', 'n', 'n'}
		b = append(b, bytes.Repeat([]byte{'r', 0}, 6)...)
		return append(b, 0, 0, 'n', 0, 0, 'n', 0, 0, 0)
	}
	want := append([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4}, status('a')...)
	want = append(append(want, status('b')...), 0, 0)
	if !bytes.Equal(plain, want) {
		t.Errorf("without additions:\n%q\nwant\n%q", plain, want)
	}
	zero := 0.0
	seen := map[string]bool{string(plain): true}
	for _, g := range []schemas.GuardrailStatus{
		{ProbabilityIndex: &zero}, {KS: &zero}, {MannWhitneyP: &zero}, {Shape: make([]schemas.QuantileEvidence, 1)}, {Calibration: "x"}, {MutedUntil: 1}, {Harmed: []string{""}},
	} {
		g.Name = "a"
		if got := string(of(g)); seen[got] {
			t.Errorf("%+v is not told from another", g)
		} else {
			seen[got] = true
		}
	}
}
