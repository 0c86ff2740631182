package serve

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"streamcanary/decisions"
	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
)

// truncations are the groups of alerts of which Alertmanager's last message had only a part, by group: a rollout that begins must know of them, too. They are in memory,
// as rumours are.
type truncations map[string]truncation

type truncation struct {
	missing int64
	at      time.Time
}

// maxTruncations bounds them; beyond it the one that was told of longest ago is forgotten.
const maxTruncations = 100

func (x truncations) hear(alerts *schemas.Alerts, now time.Time) {
	if alerts.Truncated == 0 {
		delete(x, alerts.Group)
		return
	}
	if _, known := x[alerts.Group]; !known && len(x) >= maxTruncations {
		delete(x, slices.MinFunc(x.groups(), func(a, b string) int { return cmp.Or(x[a].at.Compare(x[b].at), cmp.Compare(a, b)) }))
	}
	x[alerts.Group] = truncation{alerts.Truncated, now}
}

// lasting are the groups that are believed to lack alerts still, ascending.
func (x truncations) lasting(now time.Time) []string {
	maps.DeleteFunc(x, func(_ string, t truncation) bool { return now.Sub(t.at) > rumoursFor })
	return x.groups()
}

func (x truncations) groups() []string { return slices.Sorted(maps.Keys(x)) }

// truncated are the journal records for the rollouts to which it is news that a message has left alerts out, or that it is whole again.
func (c *court) truncated(m *schemas.Alerts, now time.Time) ([]kafka.Entry, error) {
	c.truncations.hear(m, now)
	var entries []kafka.Entry
	for _, name := range sortedDesks(c.desks) {
		if d := c.desks[name]; d.lost == nil && d.head.State.HeedsTruncated(m.Group, m.Truncated) {
			e, err := truncatedRecord(d, m.Group, m.Truncated, now)
			if err != nil {
				return nil, err
			}
			entries = append(entries, e)
		}
	}
	return entries, nil
}

func truncatedRecord(d *desk, group string, missing int64, now time.Time) (kafka.Entry, error) {
	ruling := &decisions.Ruling{Kind: decisions.RulingTruncated, Group: group, Missing: missing}
	return inputEntry(d, decisions.Input{Kind: decisions.InputRuling, WallMs: now.UnixMilli(), Ruling: ruling})
}
