package engine

import (
	"strings"
	"testing"

	"streamcanary/schemas"
)

// TestSuspicionIsTold: harm that is proven before it is proven to be beyond its margin is told, once.
func TestSuspicionIsTold(t *testing.T) {
	var told []schemas.Notice
	lines := linesOf(t, story)
	j := judge(t, rolloutOf(t, strings.Replace(storyRollout, "increase: 0.5pp", "increase: 4pp", 1)), logs(t, 0, write(t, "log.ndjson", lines)),
		ReplayOptions{Noticed: func(n schemas.Notice) { told = append(told, n) }})
	if len(told) != 1 || told[0].Kind != schemas.NoticeGuardrailSuspect || len(told[0].Guardrails) != 1 || told[0].Guardrails[0] != "errors" {
		t.Errorf("verdict %s, told %+v", j.Verdict, told)
	}
}
