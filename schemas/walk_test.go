package schemas

import (
	"fmt"
	"strings"
	"testing"
)

// TestWalked: where the canary stops on its way to all of the traffic, and what of it a person is asked.
func TestWalked(t *testing.T) {
	const steps = "{warm: [5, 20, 60, 100]}"
	tests := []struct{ name, cache, stages, want string }{
		{"before the promotion", steps, "[{weight: 5}]", "5, 20 warm, 60 warm"},
		{"when a person agrees to it", steps, "[{weight: 5}, {weight: 100, approve: true}]", "5, 20 warm approve, 60 warm"},
		{"before the watch", steps, "[{weight: 5}, {weight: 100, watch: 1h, holdback: 5}]", "5, 20 warm, 60 warm, 95 watch"},
		{"when a person agrees to that", steps, "[{weight: 5}, {weight: 100, approve: true, watch: 1h, holdback: 5}]", "5, 20 warm approve, 60 warm, 95 watch"},
		{"none that it has passed", steps, "[{weight: 1}, {weight: 30, approve: true}]", "1, 30 approve, 60 warm"},
		{"none above the watch", "{warm: [20, 99]}", "[{weight: 5}, {weight: 100, watch: 1h, holdback: 5}]", "5, 20 warm, 95 watch"},
		{"none is left", steps, "[{weight: 60}, {weight: 100, approve: true}]", "60 approve at the end"},
		{"after a shadow", steps, "[{weight: 0, mirror: 50}, {weight: 5}]", "0, 5, 20 warm, 60 warm"},
		{"nothing is warmed", "{mute: [p99]}", "[{weight: 5}]", "5"},
		{"no cache", "none", "[{weight: 5}]", "5"},
		{"advice moves nothing", steps, "[{weight: 5}]\n  mode: advise", "5"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := parsed(t, cacheFile(test.cache, "  stages: "+test.stages+"\n"))
			before := fmt.Sprint(r.Stages, r.ApprovePromotion)
			w := r.Walked()
			if have := walkText(w); have != test.want {
				t.Errorf("it walks %s, want %s", have, test.want)
			}
			if again := walkText(w.Walked()); again != test.want {
				t.Errorf("walked twice it is %s", again)
			}
			if after := fmt.Sprint(r.Stages, r.ApprovePromotion); after != before || w.Life() != r.Life() {
				t.Errorf("the rollout was %s, is %s; its life %s, walked %s", before, after, r.Life(), w.Life())
			}
			if has := strings.Contains(string(Explain(r)), "until the canary's cache is warm"); has != strings.Contains(test.want, "warm") {
				t.Errorf("explained:\n%s", Explain(r))
			}
		})
	}
}

func walkText(r *Rollout) string {
	var all []string
	for _, s := range r.Stages {
		text := percentOf(s.WeightBP)
		if s.Warm {
			text += " warm"
		}
		if s.Watch > 0 {
			text += " watch"
		}
		if s.Approve {
			text += " approve"
		}
		all = append(all, text)
	}
	text := strings.Join(all, ", ")
	if r.ApprovePromotion {
		text += " approve at the end"
	}
	return text
}
