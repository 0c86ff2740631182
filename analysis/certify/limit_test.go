package certify

import (
	"math"
	"testing"
)

func TestLimits(t *testing.T) {
	// By exact sums of Binomial(400, .05): P(X <= 30) = .98906, P(X <= 31) = .99371.
	if got := binomialPoint(400, .05); got != 31 {
		t.Errorf("99 %% point of Binomial(400, .05) is %d, want 31", got)
	}
	if got := binomialPoint(400, 0); got != 0 {
		t.Errorf("99 %% point of nothing is %d", got)
	}
	// By exact sums of Binomial(20, .95): P(X <= 16) = .01590, P(X <= 15) = .00257, so 16 is the least that is no accident.
	if got := binomialLow(20, .95); got != 16 {
		t.Errorf("1 %% point of Binomial(20, .95) is %d, want 16", got)
	}
	// Clopper and Pearson: of 0 in n the limit is 1 - .05^(1/n).
	if got, want := upperRate(0, 100, .95), 1-math.Pow(.05, .01); math.Abs(got-want) > 1e-9 {
		t.Errorf("upper limit of 0 in 100 is %v, want %v", got, want)
	}
	s := sample{1, 2, 3, 4}
	if got, want := s.meanLimit(), 2.5+1.6448536269514722*math.Sqrt(5./3/4); math.Abs(got-want) > 1e-12 {
		t.Errorf("limit of the mean is %v, want %v", got, want)
	}
	if got := s.quantile(.5); got != 2 {
		t.Errorf("the lower median is %v", got)
	}
}

// TestBound: per canary prediction the divergence is p1 log(p1/p0) - p1 + p0 where the baseline is large and hits are rare; and no claim that
// fits has any.
func TestBound(t *testing.T) {
	a := twoArms{nc: 100, pc: .02, nb: 1e9, pb: .001}
	want := 100 * (.02*math.Log(.02/.006) + .98*math.Log(.98/.994))
	if got := a.information(1, .005); math.Abs(got/want-1) > 1e-4 {
		t.Errorf("information %v, want %v", got, want)
	}
	fits := twoArms{nc: 100, pc: .0098, nb: 900, pb: .01}
	if got := fits.information(.98, 0); math.Abs(got) > 1e-9 {
		t.Errorf("information against a claim that fits: %v", got)
	}
}
