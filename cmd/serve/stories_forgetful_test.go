package serve

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

const alertmanagerOutside = "sinks: {am: {kind: alertmanager, url: \"http://127.0.0.1:9000\"}}\n"

// amAlert is an alert as Alertmanager is sent it.
type amAlert struct {
	Labels           map[string]string
	StartsAt, EndsAt time.Time
}

// alertmanager keeps alerts in memory, and notes of each that it is sent whether it begins there, is known, or is over.
func (o *outside) alertmanager(w http.ResponseWriter, r *http.Request) {
	var sent []amAlert
	if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range sent {
		key := fmt.Sprint(a.Labels)
		before, known := o.alerts[key]
		text := fmt.Sprintf("%s %s since %.1fs", a.Labels["alertname"], a.Labels["severity"], a.StartsAt.Sub(o.v.began).Seconds())
		if team := a.Labels["team"]; team != "" {
			text += " of team " + team
		}
		switch {
		case a.EndsAt.After(time.Now()):
			if known && before.StartsAt.Before(a.StartsAt) { // as Alertmanager merges them
				a.StartsAt = before.StartsAt
			}
			text += map[bool]string{true: ": it is known", false: ": NEW"}[known]
			o.alerts[key] = a
		case known:
			text += ": it is OVER"
			delete(o.alerts, key)
		default:
			text += ": no such alert, and it is over"
		}
		o.says("alertmanager", text)
	}
}

// forgets lets Alertmanager be restarted.
func (o *outside) forgets() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.says("alertmanager", "(restarted: it forgets all alerts)")
	clear(o.alerts)
}

// firing are the alerts that it has now.
func (o *outside) firing() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []string
	for _, a := range slices.SortedFunc(maps.Values(o.alerts), func(a, b amAlert) int { return strings.Compare(a.Labels["alertname"], b.Labels["alertname"]) }) {
		all = append(all, a.Labels["alertname"])
	}
	return strings.Join(all, " ")
}

// TestStoriesOfForgetting: what stands is told again to an Alertmanager that was restarted, as the alert that it was, also by a serve that was; what is over isn't.
func TestStoriesOfForgetting(t *testing.T) {
	amongOthers(t)
	const told = "  sinks: [{alertmanager: am}]\n"
	t.Run("an-alertmanager-that-forgets", func(t *testing.T) {
		storyWith(t, "an-alertmanager-that-forgets", rolloutWith(atOnce+betweenWindows+acksBetween+told), alertmanagerOutside, func(v *village) {
			stands := func(when, want string) {
				if have := v.outside.firing(); have != want {
					v.Errorf("%s Alertmanager has %q, want %q", when, have, want)
				}
			}
			const both = schemas.OwnAlertStuck + " " + schemas.OwnAlert // the rollback; the suspicion a second before it is over with that
			v.status(decisions.StatusRunning)
			v.deaf.Store(true)
			v.harms()
			v.status(decisions.StatusRolledBack)
			v.wait(100 * time.Second)
			v.outside.forgets()
			v.wait(61 * time.Second)
			stands("restarted,", both)
			v.outside.forgets()
			v.restart()
			v.wait(21 * time.Second)
			stands("restarted with serve,", both)
			v.deaf.Store(false)
			v.completed()
			v.wait(61 * time.Second)
			stands("after the rollback", "")
			v.outside.forgets()
			v.restart()
			v.wait(21 * time.Second)
			stands("long after the rollback", "")
		})
	})
	t.Run("an-alert-whose-rollout-is-labelled-anew", func(t *testing.T) {
		rollout := rolloutWith(atOnce + betweenWindows + acksBetween + told)
		storyWith(t, "an-alert-whose-rollout-is-labelled-anew", rollout, alertmanagerOutside, func(v *village) {
			v.status(decisions.StatusRunning)
			v.deaf.Store(true)
			v.harms()
			v.status(decisions.StatusRolledBack)
			v.wait(5100 * time.Millisecond)
			v.deaf.Store(false)
			v.errors.Store(0)
			v.apply("story", strings.Replace(rollout, "{name: story}", "{name: story, labels: {team: feed}}", 1), func(a *Application) { a.Retry, a.Force = true, true })
			v.until("it runs again", func(s *decisions.State) bool { return s.Epoch == 2 && s.DueMs > 0 })
			v.restart()
			v.wait(21 * time.Second)
			if have := v.outside.firing(); have != "" {
				v.Errorf("Alertmanager has %q", have)
			}
		})
	})
}
