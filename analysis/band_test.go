package analysis

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// TestBands: each arm's own quantile lies within its band, of the last hour at most, and what came before is forgotten.
func TestBands(t *testing.T) {
	r := rolloutOf(guardrail("p90: quantile 0.9 latency increase 20%"), guardrail("slo: quantile 0.9 latency above 500ms"),
		guardrail("errors: rate error increase 1pp"), guardrail("shape: distribution latency ks increase 20%"))
	r.Window = time.Minute
	s := &script{t: t, rollout: r, judge: NewJudge(r, Options{}), keys: Metrics(r), atMs: startMs}
	w := &rowWorld{script: s, random: rand.New(rand.NewPCG(8, 1))}
	if got := s.judge.Bands(); got != nil {
		t.Errorf("before the first window: %+v", got)
	}
	level := 1000.0 // in the first hours, which must be forgotten
	for at := range 300 {
		if at == 200 {
			level = 10
		}
		w.step(serving, [windows.Arms]int64{200, 200}, func(arm windows.Arm) row {
			return row{level * float64(1+arm) * math.Exp(.1*w.random.NormFloat64()), w.slice()}
		})
		bands := s.judge.Bands()
		if at%50 != 49 {
			continue
		}
		if len(bands) != 4 {
			t.Fatalf("%d bands: %+v", len(bands), bands)
		}
		for i, b := range bands {
			truth := level * float64(1+i%2) * math.Exp(.1*1.2816)
			if !b.DisplayOnly || b.Lower == nil || b.Upper == nil || *b.Lower > truth || *b.Upper < truth || *b.Upper > 1.1**b.Lower {
				t.Errorf("window %d: %+v, truth %v", at, b, truth)
			}
			if b.To-b.From > schemas.Time(recentMs) || b.To-b.From < schemas.Time(recentMs)/3 || int64(b.To) != s.atMs || b.N != 200*int64(b.To-b.From)/60_000 {
				t.Errorf("window %d: %+v at %d", at, b, s.atMs)
			}
		}
		if bands[0].Guardrail != "p90" || bands[0].Version != "41" || bands[1].Version != "42" || bands[2].Guardrail != "slo" || bands[0].Unit != unitMillis {
			t.Errorf("%+v", bands)
		}
	}
	if without := NewJudge(r, Options{NoIntervals: true}); without.find(serving).recents != nil {
		t.Error("bands without intervals")
	}
}

// TestBandsAtTheEnds: values that are nothing but ends of the range have bounds where there are some, and none elsewhere.
func TestBandsAtTheEnds(t *testing.T) {
	for _, x := range []float64{-1, 0, 0.005, 1, 2} {
		r := rolloutOf(guardrail("g: quantile 0.5 score increase 0.05 buckets=0,1,100"))
		s := &script{t: t, rollout: r, judge: NewJudge(r, Options{}), keys: Metrics(r), atMs: startMs}
		w := &rowWorld{script: s, random: rand.New(rand.NewPCG(8, 2))}
		for range 20 {
			w.step(serving, [windows.Arms]int64{100, 100}, func(windows.Arm) row { return row{x, w.slice()} })
		}
		for _, b := range s.judge.Bands() {
			if b.Lower != nil && *b.Lower > x || b.Upper != nil && *b.Upper < x && x >= 0 || b.Lower == nil && x > 0 || b.Upper == nil && x <= 1 {
				t.Errorf("%v: %+v", x, b)
			}
		}
	}
}
