package decisions

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"streamcanary/schemas"
)

// A Truncated is a group of alerts of which Alertmanager's last message had only a part: what it left out may be what a guardrail from outside waits for.
type Truncated struct {
	Group   string `json:"group"`    // schemas.Alerts.Group
	Missing int64  `json:"missing"`  // alerts that were left out
	SinceMs int64  `json:"since_ms"` // wall time since which that is known
}

// MaxTruncated bounds the groups that are kept, one for each name. Beyond it the one that was told of longest ago makes room: that something is missing is known by then.
const MaxTruncated = 8

// truncatedEvery is how often people are told that alerts are left out: again only where all messages were whole in between, and where that was less than this after they were told, as soon
// as it is over.
const truncatedEvery = time.Hour

// truncatedDeadline is when people may be told again.
const truncatedDeadline = "alerts-truncated"

// HeedsTruncated reports whether it is news to the rollout that the last message of a group left so many alerts out; 0: it was whole.
func (s *State) HeedsTruncated(group string, missing int64) bool {
	known := int64(0)
	if at := s.truncatedAt(group); at >= 0 {
		known = s.Truncated[at].Missing
	}
	return s.hears() && len(s.Terms.Alerts) > 0 && missing != known
}

func (s *State) truncatedAt(group string) int {
	return slices.IndexFunc(s.Truncated, func(x Truncated) bool { return x.Group == group })
}

// truncated takes a ruling that a group's last message left alerts out, or was whole.
func (t *turn) truncated(r *Ruling) {
	if !t.s.HeedsTruncated(r.Group, r.Missing) {
		return
	}
	now := Truncated{r.Group, r.Missing, t.in.WallMs}
	if at := t.s.truncatedAt(r.Group); at >= 0 {
		now.SinceMs = t.s.Truncated[at].SinceMs
		t.s.Truncated = slices.Delete(t.s.Truncated, at, at+1)
	}
	if r.Missing <= 0 {
		t.wholeAgain()
		return
	}
	t.s.Truncated = append(t.s.Truncated, now)
	t.s.Truncated = t.s.Truncated[max(0, len(t.s.Truncated)-MaxTruncated):]
	t.tellTruncated()
}

// tellTruncated tells people that alerts are left out, where that is news.
func (t *turn) tellTruncated() {
	if len(t.s.Truncated) == 0 || t.s.TruncatedTold || t.in.WallMs < t.s.truncatedDue() {
		return
	}
	t.s.TruncatedMs, t.s.TruncatedTold = t.in.WallMs, true
	t.notice(schemas.Notice{
		Kind: schemas.NoticeAlertsTruncated, Severity: schemas.Warning, Guardrails: t.s.Terms.alertNames(), Sentence: t.s.TruncatedTexts()[0],
	})
}

// wholeAgain tells those who were told that no group lacks alerts any more.
func (t *turn) wholeAgain() {
	if len(t.s.Truncated) > 0 || !t.s.TruncatedTold {
		return
	}
	t.s.TruncatedTold = false
	t.notice(schemas.Notice{
		Kind: schemas.NoticeAlertsWhole, Severity: schemas.Info, Guardrails: t.s.Terms.alertNames(), Waiting: t.s.standing(),
		Sentence: "Alertmanager's messages have all their alerts again.",
	})
}

// truncatedDue is the wall time from which on people may be told that alerts are left out.
func (s *State) truncatedDue() int64 {
	if s.TruncatedMs == 0 {
		return 0
	}
	return s.TruncatedMs + truncatedEvery.Milliseconds()
}

// alertNames are the guardrails from outside.
func (t *Terms) alertNames() []string {
	var names []string
	for i := range t.Alerts[:min(len(t.Alerts), maxNamed)] {
		names = append(names, t.Alerts[i].Name)
	}
	return names
}

// TruncatedTexts say what is missing of the alerts, and what to do, for a person: of each group, the one that was told of last first.
func (s *State) TruncatedTexts() []string {
	if !s.hears() {
		return nil
	}
	var texts []string
	for _, x := range slices.Backward(s.Truncated) {
		texts = append(texts, fmt.Sprintf("Alertmanager left %d alerts of group %s out of its last message (known since %s), and one that fits %s may be among them: look at them there. Raise max_alerts in webhook_configs, or group by more labels; it is over with a message that has all.",
			x.Missing, x.Group, schemas.Time(x.SinceMs), strings.Join(s.Terms.alertNames(), ", ")))
	}
	return texts
}
