package serve

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/schemas"
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

// TestDryRunHidesNothing: what endangers decisions, and what a dry run has said already, reaches people by the run that comes within the decision log's window of duplicates.
func TestDryRunHidesNothing(t *testing.T) {
	for _, row := range []struct {
		name, hears string
		kind        schemas.NoticeKind
		harm        func(v *village)
	}{
		{"decisions are lost", "pagerduty: trigger streamcanary/story critical", schemas.NoticeRolloutLost, func(v *village) {
			v.must(v.js().DeleteStream(v.Context(), schemas.StreamName))
			v.must(v.bus.Ensure(v.Context()))
		}},
		{"somebody else writes", "slack: *foreign-decision: ", schemas.NoticeForeignDecision, func(v *village) { v.writes("hello", false) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			inVillage(t, storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n"+everybody, dryRunSinks, func(v *village) {
				seen := map[string]int{}
				v.status(decisions.StatusRunning)
				v.wait(5*time.Second + 130*time.Millisecond)
				v.stopService()
				v.wait(time.Second)
				row.harm(v)
				v.outside.hears(seen)
				v.dry = true
				stop := v.service()
				v.wait(20 * time.Second)
				stop()
				if heard, told := v.outside.hears(seen), v.notices(row.kind); heard != "" || len(told) != 1 {
					t.Errorf("the dry run told %s; %d events", heard, len(told))
				}
				v.dry = false
				v.stopService = v.service()
				v.wait(time.Minute)
				if heard, told := v.outside.hears(seen), v.notices(row.kind); !strings.Contains(heard, row.hears) || len(told) != 2 || told[0].ID != told[1].ID {
					t.Errorf("the run after it told %s; events: %+v", heard, told)
				}
			})
		})
	}
}
