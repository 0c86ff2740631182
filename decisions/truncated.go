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

// truncatedEvery is how often people are told that alerts are left out: again only where all messages were whole in between.
const truncatedEvery = time.Hour

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
	news := len(t.s.Truncated) == 0
	now := Truncated{r.Group, r.Missing, t.in.WallMs}
	if at := t.s.truncatedAt(r.Group); at >= 0 {
		now.SinceMs = t.s.Truncated[at].SinceMs
		t.s.Truncated = slices.Delete(t.s.Truncated, at, at+1)
	}
	if r.Missing <= 0 {
		return
	}
	t.s.Truncated = append(t.s.Truncated, now)
	t.s.Truncated = t.s.Truncated[max(0, len(t.s.Truncated)-MaxTruncated):]
	if !news || t.s.TruncatedMs > 0 && t.in.WallMs < t.s.TruncatedMs+truncatedEvery.Milliseconds() {
		return
	}
	t.s.TruncatedMs = t.in.WallMs
	t.notice(schemas.Notice{
		Kind: schemas.NoticeAlertsTruncated, Severity: schemas.Warning, Guardrails: t.s.Terms.alertNames(), Sentence: t.s.TruncatedTexts()[0],
	})
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
