//go:build e2e

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	"streamcanary/schemas"
)

// TestE2EDemo runs the demo as its users do: it ends with 0 within 90 s, and what it printed is the whole story in its order.
func TestE2EDemo(t *testing.T) {
	e2eDemo(t, []string{"addresses ", "decision startprepare", "route ", "decision startcommit", "route ", "decision rollback", "route ",
		"notice rollback-completeddone", "ok"})
}

// TestE2EDemoStateful: the state goes back with the traffic, each step after the one before.
func TestE2EDemoStateful(t *testing.T) {
	e2eDemo(t, []string{"addresses ", "decision startprepare", "store ", "decision startcommit", "decision rollbackprepare", "store ",
		"decision rollbackcommit", "decision rollbackcommit", "store ", "decision rollbackcommit", "store ", "notice rollback-completeddone", "ok"},
		"--scenario", "stateful")
}

func e2eDemo(t *testing.T, want []string, args ...string) {
	binary := os.Getenv("STREAMCANARY_BINARY")
	if binary == "" {
		t.Fatal("STREAMCANARY_BINARY names no binary: run this by `make e2e`")
	}
	began := time.Now()
	var stderr bytes.Buffer
	cmd := exec.Command(binary, append([]string{"demo", "--json"}, args...)...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("the demo failed: %v\n%s", err, &stderr)
	}
	if took := time.Since(began); took > 90*time.Second {
		t.Errorf("it took %s, more than 90 s", took)
	}
	var story []string
	canary := -1.0
	for line := range bytes.Lines(out) {
		var x struct {
			Type     string
			Decision struct{ Action, Phase string }
			Notice   struct{ Kind, Outcome string }
			Standing struct{ Served struct{ Canary float64 } }
			Summary  struct{ OK bool }
		}
		if err := json.Unmarshal(line, &x); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		switch x.Type {
		case "standing":
			canary = x.Standing.Served.Canary
			continue
		case "route":
			if len(args) > 0 { // the router and the store obey side by side
				continue
			}
			story = append(story, "route ")
		case "summary":
			story = append(story, map[bool]string{true: "ok", false: "not ok"}[x.Summary.OK])
		case "notice":
			if x.Notice.Kind == string(schemas.NoticeGuardrailSuspect) { // it comes before the proof, or with it: that is the traffic's chance
				continue
			}
			story = append(story, "notice "+x.Notice.Kind+x.Notice.Outcome)
		default:
			story = append(story, x.Type+" "+x.Decision.Action+x.Decision.Phase+x.Notice.Kind+x.Notice.Outcome)
		}
	}
	if len(story) != len(want) {
		t.Fatalf("the story is %q, want %q", story, want)
	}
	for i := range want {
		if story[i] != want[i] {
			t.Errorf("step %d is %q, want %q", i, story[i], want[i])
		}
	}
	if canary != 0 {
		t.Errorf("the canary served %g answers of the last window that was shown", canary)
	}
}

// TestE2EDemoColdCache: the demo itself fails unless users waited less where traffic went back in steps.
func TestE2EDemoColdCache(t *testing.T) {
	out, err := exec.Command(os.Getenv("STREAMCANARY_BINARY"), "demo", "--json", "--scenario", "cold-cache").Output()
	if err != nil {
		t.Fatalf("the demo failed: %v\n%s", err, out)
	}
	actions := map[string]int{}
	for line := range bytes.Lines(out) {
		var x struct {
			Decision struct{ Action, Model string }
			Summary  struct{ OK bool }
		}
		if err := json.Unmarshal(line, &x); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		actions[x.Decision.Model+" "+x.Decision.Action]++
		if x.Summary.OK {
			actions["ok"]++
		}
	}
	if actions["in-steps rollback"] != 3 || actions["at-once rollback"] != 1 || actions["ok"] != 1 {
		t.Errorf("it told %v", actions)
	}
}
