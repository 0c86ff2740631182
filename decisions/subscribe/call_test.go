package subscribe

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// TestOvertaken: a call that hangs is ended when a newer decision comes, and is not made again; the same decision once more, an older one, and one that nobody trusts
// end nothing.
func TestOvertaken(t *testing.T) {
	bubble(t, func(t *testing.T, j *judge) {
		var mu sync.Mutex
		var calls []string
		note := func(text string) {
			mu.Lock()
			defer mu.Unlock()
			calls = append(calls, text)
		}
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		o := Options{Conn: j.connect(), Models: []string{model}, Consumer: "eu", Instance: "a", Trust: schemas.NewTrust(key(1).Public()), Timeout: 2 * time.Second}
		go func() {
			done <- Run(ctx, o, func(ctx context.Context, d Delivery) error {
				note(d.Decision.ID)
				if d.Decision.Seq != 2 {
					return nil
				}
				<-ctx.Done()
				note("ended after " + time.Since(began).String())
				return ctx.Err()
			})
		}()
		j.take(applied(1, weight), prepared(1))
		same(t, "acks", j.sent(), "eu 1.1 received, eu 1.1 prepared, eu 1.2 received")
		forged := j.head.State
		body, err := schemas.EncodeDecision("x", &schemas.Decision{ID: "r-1.1.9", Rollout: "r-1", Model: model, Epoch: 1, Seq: 9, Action: schemas.ActionHold, Mode: forged.Terms.Mode,
			Severity: schemas.Info, Reason: schemas.Reason{Code: "c", Sentence: "S."}, Actor: schemas.Actor{Kind: "person"}})
		if err != nil {
			t.Fatal(err)
		}
		subject, err := schemas.DecisionSubject(model)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.connect().Publish(subject, body); err != nil {
			t.Fatal(err)
		}
		for range 4 { // asked for again meanwhile: that is not to be done before what is newer
			if err := j.bus.Again(t.Context(), model, "r-1.1.2"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(15 * time.Second)
		}
		same(t, "acks of a minute", j.sent(), "")
		j.take(verdict(decisions.VerdictRollback))
		time.Sleep(time.Minute)
		same(t, "acks", j.sent(), "eu 1.3 received, eu 1.3 applied")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		want := []string{"r-1.1.1", "r-1.1.2", "ended after 1m1s", "r-1.1.3"}
		if len(calls) != len(want) {
			t.Fatalf("calls %v, want %v", calls, want)
		}
		for i := range want {
			if calls[i] != want[i] {
				t.Errorf("call %d: %s, want %s", i, calls[i], want[i])
			}
		}
	})
}

// TestTakesOver: a newer decision takes the place of one that is not done only where it says all that that one asks of the consumer, and ends its call only where it orders something else.
func TestTakesOver(t *testing.T) {
	split := func(canaryBP int) schemas.Decision {
		return schemas.Decision{Mode: schemas.Enforce, Routes: []schemas.Route{{Version: "41", WeightBP: 10000 - canaryBP}, {Version: "42", WeightBP: canaryBP}}}
	}
	none := schemas.Decision{Mode: schemas.Enforce}
	order := func(d schemas.Decision, do schemas.StateDo, snapshot string) schemas.Decision {
		d.State = []schemas.StateOrder{{Store: "users", Do: do, Snapshot: snapshot}}
		return d
	}
	phase := func(d schemas.Decision, p schemas.Phase) schemas.Decision {
		d.Phase = p
		return d
	}
	later := func(d schemas.Decision) schemas.Decision {
		d.Epoch = 2
		return d
	}
	advise, late, salted, cached := split(0), split(0), split(500), split(500)
	advise.Mode, late.ExpiresAt, salted.Salt, cached.Cache = schemas.Advise, 1, "s", &schemas.CacheOrder{Activate: "c"}
	frozen, thawed := order(none, schemas.StateFreeze, "s1"), order(none, schemas.StateUnfreeze, "s1")
	back, taken := order(none, schemas.StateRestore, "s1"), order(none, schemas.StateSnapshot, "")
	for _, test := range []struct {
		name         string
		older, newer schemas.Decision
		takes, ends  bool
	}{
		{"another split", split(500), split(0), true, true},
		{"the same split", split(500), split(500), true, false},
		{"the same split, shared out otherwise", split(500), salted, true, true},
		{"the same split, and a cache", split(500), cached, true, true},
		{"no split", split(500), none, false, false},
		{"a split that only advises", split(500), advise, false, false},
		{"one that has expired", split(500), late, false, false},
		{"nothing, behind nothing", none, none, true, false},
		{"a split, behind nothing", none, split(0), true, true},
		{"nothing, behind advice", advise, none, true, true},
		{"a freeze again, with the split", frozen, order(split(0), schemas.StateFreeze, "s1"), true, false},
		{"writes again", frozen, thawed, true, true},
		{"going back", frozen, back, true, true},
		{"nothing of a store that is to freeze", frozen, split(0), false, false},
		{"a freeze, of a store that let writes in with a split", order(split(0), schemas.StateUnfreeze, "s1"), frozen, true, true},
		{"a snapshot, before writes are let in", thawed, taken, false, false},
		{"writes again, as the state can't go back", back, thawed, true, true},
		{"nothing of a store that is to go back", back, none, false, false},
		{"a later beginning over a state that can't go back", back, later(phase(none, schemas.PhasePrepare)), true, true},
		{"a later beginning that is refused", back, later(phase(none, schemas.PhaseAbort)), false, false},
		{"going back further", back, order(none, schemas.StateRestore, "s0"), true, true},
		{"a preparation that goes on", phase(taken, schemas.PhasePrepare), phase(none, schemas.PhasePrepare), false, false},
		{"a preparation that has ended", phase(taken, schemas.PhasePrepare), phase(none, schemas.PhaseAbort), true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &follower{o: &Options{Consumer: "users"}}
			test.older.Epoch, test.older.Seq, test.newer.Epoch, test.newer.Seq = 1, 2, max(test.newer.Epoch, 1), 3
			takes := f.takesOver(&test.newer, &test.older)
			if ends := takes && !ordersSame(&test.newer, &test.older, "users"); takes != test.takes || ends != test.ends {
				t.Errorf("it takes its place: %t, and ends its call: %t; want %t, %t", takes, ends, test.takes, test.ends)
			}
			if f.takesOver(&test.older, &test.newer) {
				t.Error("an older one takes the place of a newer one")
			}
		})
	}
}
