package compare

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// TestFirstWindows: without a plan the answer says which windows told what the share was at first, and fails where it moved within these.
func TestFirstWindows(t *testing.T) {
	few := "window,baseline,canary\n" // 20 windows without 100 units of the canary
	for i := range 24 {
		few += fmt.Sprintf("%d,%d,%d\n", i, 90+i%3, 4)
	}
	for _, tt := range []struct {
		name, in string
		verdict  schemas.State
		sentence string
		line     string
		want     string
	}{
		{"from 9 % to 99 %, and no more", "window,baseline,canary\n2026-11-01,910,90\n2026-11-02,10,990\n", schemas.StateFailed,
			"Units are not split as they were at first: the canary has 54 % over all, 99 % since 2026-11-02.\n  It moved within the windows that are to tell what it is at first.",
			"at first  54 % in 2 windows, from 2026-11-01 to 2026-11-02 (2,000 units, and it moved within them)",
			`{"from":"2026-11-01","to":"2026-11-02","windows":2,"n":2000,"share":0.54,"moved":true}`},
		{"before there are enough", "window,baseline,canary\n1,90,9\n2,0,0\n3,2,98\n4,0,300\n", schemas.StateFailed,
			"Units are not split as they were at first: the canary has 81.6 % over all, 99.5 % since window 3.",
			"at first  81.6 % in 3 windows, from 1 to 4 (499 units so far, and it moved within them)",
			`{"from":"1","to":"4","windows":3,"n":499,"share":0.8156312625250501,"open":true,"moved":true}`},
		{"from 9 % to 11 %, which is nothing", "window,baseline,canary\n1,910,90\n2,890,110\n", schemas.StateContinue,
			"nothing proves that its share isn't what it was at first, 10 % in 2 windows, from 1 to 2.",
			"at first  10 % in 2 windows, from 1 to 2 (2,000 units)", `{"from":"1","to":"2","windows":2,"n":2000,"share":0.1}`},
		{"later", "window,baseline,canary\n1,9000,1000\n2,9000,1000\n3,990,10\n", schemas.StateFailed,
			"the canary has 9.57 % over all, 1 % since window 3.\n  At first it had 10 % in window 1.",
			"at first  10 % in window 1 (10,000 units)", `{"from":"1","to":"1","windows":1,"n":10000,"share":0.1}`},
		{"so far", "window,baseline,canary\n1,90,10\n2,91,9\n", schemas.StateInsufficient,
			"Too few units to know what the canary's share was at first",
			"at first  9.5 % in 2 windows, from 1 to 2 (200 units so far)", `{"from":"1","to":"2","windows":2,"n":200,"share":0.095,"open":true}`},
		{"few units", few, schemas.StateContinue, "4.21 % in 20 windows, from 0 to 19.",
			"at first  4.21 % in 20 windows, from 0 to 19 (1,899 units)", `{"from":"0","to":"19","windows":20,"n":1899,"share":0.042127435492364404}`},
	} {
		sum, _, err := compared(Spec{Kind: SRM}, tt.in)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := sum.Write(&out); err != nil {
			t.Fatal(err)
		}
		if sum.Verdict != tt.verdict || !strings.Contains(sum.Sentence, tt.sentence) || !strings.Contains(out.String(), "\n"+tt.line+"\n") {
			t.Errorf("%s: %s, want %s, %q and %q in\n%s", tt.name, sum.Verdict, tt.verdict, tt.sentence, tt.line, out.String())
		}
		if got, err := json.Marshal(sum.Reference); err != nil || string(got) != tt.want {
			t.Errorf("%s: %s, %v, want %s", tt.name, got, err, tt.want)
		}
	}
	planned, _, err := compared(Spec{Kind: SRM, Share: .1}, "window,baseline,canary\n1,910,90\n")
	if err != nil || planned.Reference != nil || strings.Contains(planned.Sentence, "at first") {
		t.Errorf("%q, %+v, %v: a planned share has no first windows", planned.Sentence, planned.Reference, err)
	}
}

// TestFirstWindowsErrorRate: a share that stays isn't told to move within the first windows, where there are hardly more.
func TestFirstWindowsErrorRate(t *testing.T) {
	const alpha, runs = .05, 200
	failed := 0
	r := rand.New(rand.NewPCG(*simSeed, 71))
	for range runs {
		in, share := "window,baseline,canary\n", []float64{.02, .1, .5}[r.IntN(3)]
		for i := range 24 {
			n := 1 + r.IntN(40)
			k := hits(r, n, share)
			in += fmt.Sprintf("%d,%d,%d\n", i, n-k, k)
		}
		sum, err := Run(Spec{Kind: SRM, Alpha: alpha}, Input{"sim.csv", strings.NewReader(in)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if sum.Verdict == schemas.StateFailed {
			failed++
		}
	}
	t.Logf("%d of %d failed", failed, runs)
	if limit := binomialLimit(runs, alpha); failed > limit {
		t.Errorf("%d of %d failed, at most %d may", failed, runs, limit)
	}
}
