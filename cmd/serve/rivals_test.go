package serve

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"streamcanary/cmd/engine"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// starts is the start of epoch 1 of an advised rollout of model m, as an instance journals it.
func starts(t *testing.T, rollout, instance string) (Application, decisions.Input, kafka.Entry) {
	t.Helper()
	return startsOf(t, rollout, "m", instance)
}

// startsOf is likewise of another model, from now on.
func startsOf(t *testing.T, rollout, model, instance string) (Application, decisions.Input, kafka.Entry) {
	t.Helper()
	now := schemas.Time(time.Now().UnixMilli())
	a := Application{ID: rollout + "-1", From: now, At: now, File: rollout + ".yaml", YAML: advisedOf(rollout, model), Actor: schemas.Actor{Kind: "person", Name: "ada"}}
	r, err := a.Rollout()
	if err != nil {
		t.Fatal(err)
	}
	terms := decisions.TermsOf(r.Walked())
	terms.Application = a.ID
	in := decisions.Input{Kind: decisions.InputApplied, WallMs: time.Now().UnixMilli(), Applied: &decisions.Applied{Terms: terms, Epoch: 1, Actor: a.Actor}}
	sources := engine.Sources{Predictions: []windows.Partition{{Topic: "predictions"}}}
	record, err := startRecord(&start{Application: a, Sources: sources, Instance: instance}, in)
	if err != nil {
		t.Fatal(err)
	}
	record.TimeMs = in.WallMs
	return a, in, record
}

// begunBy is the record of an epoch that an instance has begun by its start, which stands in the journal.
func begunBy(t *testing.T, instance string, a Application, in decisions.Input, stood kafka.Entry) decisions.Head {
	t.Helper()
	in.Read = []schemas.Input{{Topic: JournalTopic, Partition: stood.Partition, From: stood.Offset, To: stood.Offset}}
	head, _, err := decisions.NewHead(0).Take(in)
	if err != nil {
		t.Fatal(err)
	}
	head.Writer, head.From, head.Offsets = instance, []decisions.Offset{{Partition: stood.Partition, Offset: stood.Offset}}, []decisions.Offset{{Partition: stood.Partition, Offset: stood.Offset + 1}}
	if head.Applied, err = a.Encode(); err != nil {
		t.Fatal(err)
	}
	return head
}

// TestRivalBegins: where another process has journaled the start of another rollout of a model before one is applied here, that one is begun, by its record: what was applied waits, and is refused once this one decides for that, nothing else starts, and no
// serve is fenced out.
func TestRivalBegins(t *testing.T) {
	inVillage(t, advised(storyHead+errorsMore+atOnce), "", func(v *village) {
		v.status(decisions.StatusRunning)
		a, in, record := starts(t, "ghost", "gone")
		stood, err := v.kafka.Log(JournalTopic, 0).Append(v.Context(), record)
		v.must(err)
		v.wait(time.Second + 130*time.Millisecond)
		v.apply("real", advisedOf("real", "m"))
		v.wait(5*time.Second + 130*time.Millisecond)
		if _, _, err := v.bus.LoadHead(v.Context(), "real"); !errors.Is(err, bus.ErrNotFound) {
			t.Errorf("it doesn't wait for the other one: %v", err)
		}
		head := begunBy(t, "gone", a, in, stood)
		_, err = v.bus.SaveHead(v.Context(), head, 0)
		v.must(err)
		_, err = v.bus.PutSpec(v.Context(), bus.Spec{Rollout: "ghost", Body: head.Applied})
		v.must(err)
		v.wait(20*time.Second + 130*time.Millisecond)
		if _, _, err := v.bus.LoadHead(v.Context(), "real"); !errors.Is(err, bus.ErrNotFound) {
			t.Errorf("it begins beside the other one: %v", err)
		}
		if _, err := v.bus.LastDecision(v.Context(), "m"); !errors.Is(err, bus.ErrNotFound) {
			t.Errorf("somebody has decided: %v", err)
		}
		if page := v.page("/v1/rollouts"); strings.Contains(page, `"refused":`) || !strings.Contains(page, "another one has written its record (gone)") {
			t.Errorf("rollouts: %s", page)
		}
		v.wait(90*time.Second + 130*time.Millisecond) // that one writes nothing more, so this one takes over
		if a, _ := v.entry("real"); !strings.HasPrefix(a.Refused, "model m has an active rollout, ghost") {
			t.Errorf("the file of what was applied says %q", a.Refused)
		}
		if _, _, err := v.bus.LoadHead(v.Context(), "real"); !errors.Is(err, bus.ErrNotFound) {
			t.Errorf("it begins after all: %v", err)
		}
		if told := v.notices(schemas.NoticeRolloutLost); len(told) != 0 {
			t.Errorf("lost: %+v", told)
		}
	})
}

// TestRivalStandsBefore: one's own start that stands behind another process's of the model isn't begun: it is taken again. Starts of which nothing came are forgotten when the next one comes.
func TestRivalStandsBefore(t *testing.T) {
	c := newChamber(t, t.TempDir()).court
	c.config, c.retention, c.rivals, c.pending, c.instance = &schemas.Config{}, -1, map[string]rival{}, map[string]handed{}, "own"
	for n := range 100 {
		c.rivals[fmt.Sprint("old-", n)] = rival{rollout: "x", since: time.Now().Add(-othersBegin)}
	}
	a, in, own := starts(t, "real", "own")
	_, ghosts, ghost := starts(t, "ghost", "other")
	body, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	x := handed{bus.Spec{Rollout: "real", Body: body}, a}
	if x.file.Revision, err = c.bus.PutSpec(t.Context(), x.file); err != nil {
		t.Fatal(err)
	}
	c.pending["real"] = x
	if err := c.applied(t.Context(), &ghost, &entry{rollout: "ghost", epoch: 1, input: &ghosts}); err != nil {
		t.Fatal(err)
	}
	if len(c.rivals) != 1 {
		t.Errorf("%d starts of others are kept", len(c.rivals))
	}
	if err := c.applied(t.Context(), &own, &entry{rollout: "real", epoch: 1, input: &in}); err != nil {
		t.Fatal(err)
	}
	if len(c.desks) != 0 || len(c.untaken) != 1 || c.untaken[0].Rollout != "real" {
		t.Errorf("%d begin, and %d come again", len(c.desks), len(c.untaken))
	}
}
