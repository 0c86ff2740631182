package engine

import (
	"bytes"
	"fmt"
	"testing"

	"streamcanary/analysis"
	"streamcanary/schemas"
)

// TestRollbackNamesPredictions: what a rollback names is in the log, is the canary's, failed since the harm began, and has its code.
func TestRollbackNamesPredictions(t *testing.T) {
	lines := linesOf(t, story+noise)
	for i := range lines {
		lines[i].text = bytes.Replace(lines[i].text, []byte(`"error":true`), fmt.Appendf(nil, `"error":true,"code":"E%d"`, i%3), 1)
	}
	j := judge(t, rolloutOf(t, storyRollout), logs(t, 0, write(t, "log.ndjson", lines)), ReplayOptions{})
	if j.Verdict != analysis.VerdictRollback {
		t.Fatalf("verdict %s", j.Verdict)
	}
	d := j.decided[len(j.decided)-1].Decision
	named := 0
	for _, g := range d.Reason.Guardrails {
		if (g.Name == "errors") != (len(g.Exemplars) > 0) {
			t.Errorf("%s is %s and names %d predictions", g.Name, g.State, len(g.Exemplars))
		}
		for _, x := range g.Exemplars {
			named++
			if !inLog(lines, &x) {
				t.Errorf("%+v is no failure of the canary", x)
			}
			if x.Window < g.HarmBegan || x.Window > g.LastWindow {
				t.Errorf("%+v: harm began %s, the last window is %s", x, g.HarmBegan, g.LastWindow)
			}
		}
	}
	if named < 5 {
		t.Errorf("%d predictions are named", named)
	}
}

func inLog(lines []line, x *schemas.Exemplar) bool {
	for _, l := range lines {
		has := func(text string) bool { return bytes.Contains(l.text, []byte(text)) }
		if has(`"id":"`+x.ID+`"`) && has(`"version":"v2"`) && has(`"error":true,"code":"`+x.Code+`"`) {
			return true
		}
	}
	return false
}
