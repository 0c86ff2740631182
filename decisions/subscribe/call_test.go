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
