package serve

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
)

// everybody are sinks of each kind that isn't asked about the traffic.
const everybody = "  sinks: [{slack: slack}, {pagerduty: pagerduty}, {webhook: hook}, {alertmanager: am}, {mlflow: {alias: champion}}]\n"

const dryRunSinks = sinksOutside + `  am: {kind: alertmanager, url: "http://127.0.0.1:9000"}` + "\n"

// rehearses stops the service and starts it again, as a dry run or not.
func (v *village) rehearses(dry bool) {
	v.Helper()
	v.stopService()
	v.dry = dry
	v.stopService = v.service()
}

// hears is what each system was told, and what fires, since it was asked last.
func (o *outside) hears(seen map[string]int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []string
	for _, system := range slices.Sorted(maps.Keys(o.heard)) {
		for _, line := range o.heard[system][seen[system]:] {
			all = append(all, system+": "+strings.Join(strings.Fields(line)[1:], " "))
		}
		seen[system] = len(o.heard[system])
	}
	return strings.Join(all, "\n")
}

// TestDryRunLeavesNothing: what a dry run was told about is told by no later run, whether it stands or not, and a registry is left to people.
func TestDryRunLeavesNothing(t *testing.T) {
	rollout := storyHead + errorsMore + atOnce + everybody
	t.Run("harm in the dry run", func(t *testing.T) {
		inVillage(t, rollout, dryRunSinks, func(v *village) {
			seen := map[string]int{}
			v.status(decisions.StatusRunning)
			v.delete("story")
			v.rehearses(true)
			v.outside.hears(seen)
			v.apply("story", rollout)
			v.status(decisions.StatusRunning)
			v.wait(10 * time.Second)
			v.errors.Store(6000)
			v.deaf.Store(true)
			v.status(decisions.StatusRolledBack)
			v.wait(75 * time.Second)
			if heard := v.outside.hears(seen); heard != "" {
				t.Errorf("the dry run told %s", heard)
			}
			v.rehearses(false)
			v.wait(time.Minute)
			if heard := v.outside.hears(seen); v.outside.firing() != "" || strings.Contains(heard, "trigger") || strings.Contains(heard, "change") || strings.Contains(heard, "slack") || strings.Contains(heard, "hook") {
				t.Errorf("the run after it told %s; firing: %s", heard, v.outside.firing())
			}
			v.deaf.Store(false)
			v.completed()
			v.wait(time.Minute)
			if heard := v.outside.hears(seen); !strings.Contains(heard, "pagerduty: resolve streamcanary/story") || strings.Contains(heard, "trigger streamcanary/story critical") || strings.Contains(heard, "slack: rollback:") {
				t.Errorf("the end told %s", heard)
			}
		})
	})
	t.Run("a registry that is to follow", func(t *testing.T) {
		inVillage(t, rollout, dryRunSinks, func(v *village) {
			seen := map[string]int{}
			v.status(decisions.StatusRunning)
			v.rehearses(true)
			v.errors.Store(6000)
			v.completed()
			v.outside.hears(seen)
			v.rehearses(false)
			v.wait(time.Minute)
			heard := v.outside.hears(seen)
			if strings.Contains(heard, "mlflow: ") || !strings.Contains(heard, "slack: *sink-refused: ") {
				t.Errorf("the run after it told %s", heard)
			}
		})
	})
}

// TestDryRunEnds: incidents of before a dry run that ended in it are ended by the run after it.
func TestDryRunEnds(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce+everybody, dryRunSinks, func(v *village) {
		seen := map[string]int{}
		v.status(decisions.StatusRunning)
		v.errors.Store(6000)
		v.deaf.Store(true)
		v.status(decisions.StatusRolledBack)
		v.wait(20 * time.Second)
		v.rehearses(true)
		if heard := v.outside.hears(seen); !strings.Contains(heard, "pagerduty: trigger streamcanary/story critical") || v.outside.firing() == "" {
			t.Errorf("the first run told %s", heard)
		}
		v.deaf.Store(false)
		v.completed()
		if heard := v.outside.hears(seen); heard != "" {
			t.Errorf("the dry run told %s", heard)
		}
		v.rehearses(false)
		v.wait(time.Minute)
		heard := v.outside.hears(seen)
		if !strings.Contains(heard, "pagerduty: resolve streamcanary/story") || strings.Contains(heard, "slack") || v.outside.firing() != "" {
			t.Errorf("the run after it told %s; firing: %s", heard, v.outside.firing())
		}
	})
}
