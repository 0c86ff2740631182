package engine

import (
	"strings"
	"testing"

	"streamcanary/windows"
)

// TestPurchasesThatNobodySends: the default rollout waits for purchases for a day. Where that is more predictions than are remembered, clicks are
// joined as ever, copies are known, and the rollout goes on.
func TestPurchasesThatNobodySends(t *testing.T) {
	const scenario = `model    ranker
baseline version v1
canary   version v2
for      3000s
seed     5
rate     20/s
split    30%
users    5000
latency  lognormal 40ms sigma 0.5
errors   0.5%
outcome  click 40% after exponential 3s
transport duplicates 2% after exponential 300ms
expect   promote
`
	const minimal = `apiVersion: streamcanary.dev/v1
kind: Rollout
metadata: {name: minimal}
spec:
  model: ranker
  baseline: {version: v1}
  canary: {version: v2}
`
	path := write(t, "log.ndjson", linesOf(t, scenario))
	for name, more := range map[string]string{
		"a day":     "",
		"half hour": "  outcomes: {click: {within: 10m}, purchase: {within: 30m}}\n  stages: [{bake: 2h, max: 3h}]\n", // whose windows seal in time
	} {
		t.Run(name, func(t *testing.T) {
			r := rolloutOf(t, minimal+more)
			sales := map[string]bool{}
			all := judge(t, r, logs(t, 0, path), ReplayOptions{Continue: true})
			few := judge(t, r, logs(t, 0, path), ReplayOptions{Continue: true, Limits: windows.Limits{PendingPredictions: 20_000}, Judged: func(f *Fold) {
				for _, g := range f.Report().Guardrails {
					sales[g.Why] = sales[g.Why] || g.Name == "sales"
				}
			}})
			if few.Counts != all.Counts {
				t.Errorf("predictions and outcomes %v, want %v as without the bound", few.Counts, all.Counts)
			}
			if got, want := strings.Join(few.actions(), ", "), strings.Join(all.actions(), ", "); got != want || strings.Contains(got, "hold") {
				t.Errorf("decided %s, want %s and no hold", got, want)
			}
			if sales["join_overflow"] != (more != "") {
				t.Errorf("sales has the reasons %v", sales)
			}
			for i, want := range all.Guardrails {
				got := few.Guardrails[i]
				if want.Name == "ctr" && (got.State != want.State || got.Canary.Events != want.Canary.Events || want.Canary.Events == 0) {
					t.Errorf("ctr is %+v, want %+v", got, want)
				}
			}
		})
	}
}
