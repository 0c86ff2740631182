package subscribe

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// restored: NATS runs on from an older copy of its folder. Decisions that are made there are heard of at once, although others had their places in the log and in the bucket; what is older than what
// was carried out isn't carried out, and what was refused isn't asked for again by that. It is part of TestServerRestart, too.
func (j *judge) restored(r *router) {
	j.t.Helper()
	refused := 0
	r.locked(func() {
		r.answer = func(d Delivery) error {
			if d.Decision.Action == schemas.ActionHold {
				refused++
				return Reject(schemas.WhyCapacity)
			}
			return nil
		}
	})
	j.take(prepared(2), verdict(decisions.VerdictRollback))
	dir := j.server.Load().StoreDir()
	copied, backed := j.t.TempDir(), j.head
	restart := func(from, to string) {
		j.stop()
		_ = <-j.done
		j.halt()
		if err := os.RemoveAll(to); err != nil {
			j.t.Fatal(err)
		}
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			j.t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		j.begin(dir[:strings.LastIndex(dir, "/jetstream")])
		time.Sleep(5 * time.Second)
	}
	restart(dir, copied)
	j.take(applied(3, weight), prepared(3), verdict(decisions.VerdictHold))
	if have := r.given(); !strings.HasSuffix(have, "3.1 start, 3.2 start, 3.3 hold") {
		j.t.Errorf("given %s", have)
	}
	restart(copied, dir)
	same(j.t, "given by what is older", r.given(), "")
	j.sent()
	j.head = backed
	j.take(applied(4, weight))
	same(j.t, "given", r.given(), "4.1 start")
	j.take(prepared(4), verdict(decisions.VerdictRollback))
	same(j.t, "given", r.given(), "4.2 start, 4.3 rollback")
	same(j.t, "acks", j.sent(), "eu 4.1 received, eu 4.1 prepared, eu 4.2 received, eu 4.2 applied, eu 4.3 received, eu 4.3 applied")
	r.locked(func() { same(j.t, "calls of what was refused", fmt.Sprint(refused), "1") })
}

// answersWait: what was answered while the server was away is sent when it is back, all of it and in order. It is part of TestServerRestart, as the
// client shares timers between connections that come back, which two bubbles must not.
func (j *judge) answersWait(r *router) {
	j.t.Helper()
	away := make(chan struct{})
	r.locked(func() {
		r.answer = func(d Delivery) error {
			<-away
			if d.Attempt == 1 {
				return errors.New("no disk")
			}
			return nil
		}
	})
	j.take(applied(2, weight))
	same(j.t, "acks", j.sent(), "eu 2.1 received")
	dir := j.server.Load().StoreDir()
	j.stop()
	_ = <-j.done
	j.halt()
	close(away)
	time.Sleep(10 * time.Second)
	j.begin(dir[:strings.LastIndex(dir, "/jetstream")])
	time.Sleep(2 * time.Minute)
	same(j.t, "acks", j.sent(), "eu 2.1 failed no disk, eu 2.1 prepared")
}
