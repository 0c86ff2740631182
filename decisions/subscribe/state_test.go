package subscribe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// cellar is a state store in a test: it notes what it is told, and fails as often as it is set to.
type cellar struct {
	told  []string
	fails int
	why   error
}

func (c *cellar) do(what string) error {
	c.told = append(c.told, what)
	if c.fails > 0 {
		c.fails--
		return c.why
	}
	return nil
}

func (c *cellar) Snapshot(context.Context) (string, error) {
	return fmt.Sprintf("s%d", len(c.told)+1), c.do("snapshot")
}
func (c *cellar) Freeze(_ context.Context, s string) error  { return c.do("freeze " + s) }
func (c *cellar) Restore(_ context.Context, s string) error { return c.do("restore " + s) }
func (c *cellar) Unfreeze(context.Context) error            { return c.do("unfreeze") }

func (c *cellar) since() string {
	words := strings.Join(c.told, ", ")
	c.told = nil
	return words
}

func stateful(t *decisions.Terms) {
	weight(t)
	t.State = decisions.StateTerms{Mode: schemas.StateShared, Stores: []string{"users"}, AckWithinMs: 30_000, Compatible: true}
}

// keep runs a state store.
func (j *judge) keep(c *cellar, store Store) *router {
	return j.follow(func(o *Options, r *router) {
		o.Consumer, o.Store = "users", store
		handler := KeepState("users", c)
		r.answer = func(d Delivery) error { return handler(j.t.Context(), d) }
	})
}

// answers are acks of second `at` on the first epoch's decision seq.
func answers(at, seq int64, who string, status schemas.AckStatus, snapshot string) decisions.Input {
	return decisions.Input{Kind: decisions.InputAck, EventMs: at * 1000, WallMs: at * 1000, Ack: &schemas.Ack{
		Decision: fmt.Sprintf("r-1.1.%d", seq), Epoch: 1, Seq: seq, Consumer: who, Status: status, Snapshot: snapshot,
	}}
}

// TestKeepState: a store takes its snapshot once, names it again after a restart, and does what a rollback asks of it, in order.
func TestKeepState(t *testing.T) {
	bubble(t, func(t *testing.T, j *judge) {
		store, err := Dir(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		c := &cellar{}
		r := j.keep(c, store)
		j.take(applied(1, stateful))
		same(t, "told", c.since(), "snapshot")
		j.mu.Lock()
		snapshot := j.snapshot
		j.mu.Unlock()
		same(t, "named", snapshot, "s1")
		r.stop()
		r = j.keep(c, store)
		same(t, "told after a restart", c.since(), "")

		j.take(prepared(1), answers(3, 1, "users", schemas.AckPrepared, "s1"), verdict(decisions.VerdictRollback))
		same(t, "told", c.since(), "freeze s1")
		j.take(answers(6, 3, "users", schemas.AckPrepared, "s1"))
		same(t, "told while traffic moves", c.since(), "freeze s1")
		j.take(answers(7, 4, "eu", schemas.AckApplied, ""))
		same(t, "told", c.since(), "restore s1")
		j.take(answers(8, 5, "users", schemas.AckApplied, ""))
		same(t, "told", c.since(), "unfreeze")
		same(t, "acks", j.sent(), "users 1.1 received, users 1.1 prepared, users 1.2 received, users 1.2 applied, users 1.3 received, users 1.3 prepared, "+
			"users 1.4 received, users 1.4 applied, users 1.5 received, users 1.5 applied, users 1.6 received, users 1.6 applied")
		same(t, "errors", r.errors(), "")
		r.stop()
	})
}

// TestKeepStateFails: what a store can't do is answered so, and tried again; what it refuses isn't.
func TestKeepStateFails(t *testing.T) {
	for name, test := range map[string]struct {
		why        error
		acks, told string
	}{
		"fails once": {errors.New("disk is full"), "users 1.1 received, users 1.1 failed disk is full, users 1.1 prepared", "snapshot, snapshot"},
		"refuses":    {Reject(schemas.WhyCapacity), "users 1.1 received, users 1.1 rejected capacity", "snapshot"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, j *judge) {
				c := &cellar{fails: 1, why: test.why}
				r := j.keep(c, Memory())
				defer r.stop()
				j.take(applied(1, stateful))
				j.rest()
				same(t, "acks", j.sent(), test.acks)
				same(t, "told", c.since(), test.told)
			})
		})
	}
}

// nameless is a store that gives its snapshots a name of its choice.
type nameless struct {
	cellar
	name string
}

func (n *nameless) Snapshot(context.Context) (string, error) { return n.name, nil }

// TestKeepStateNames: a snapshot that nobody could ask for again is none.
func TestKeepStateNames(t *testing.T) {
	order := schemas.StateOrder{Store: "users", Do: schemas.StateSnapshot}
	for name, fits := range map[string]bool{"s1": true, " s 1 ": true, strings.Repeat("x", schemas.MaxSnapshotBytes): true, "": false, " ": false, "\t\u00a0\n": false, strings.Repeat("x", schemas.MaxSnapshotBytes+1): false} {
		took := ""
		d := Delivery{snapshot: &took}
		if err := keep(t.Context(), &nameless{name: name}, &d, order); (err == nil) != fits {
			t.Errorf("%q: %v", name, err)
		}
	}
}
