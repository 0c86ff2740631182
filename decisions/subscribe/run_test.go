package subscribe

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// TestFollow: a rollout from its start to its rollback, each decision once, each answered for.
func TestFollow(t *testing.T) {
	bubble(t, func(t *testing.T, j *judge) {
		r := j.follow()
		defer r.stop()
		j.take(applied(1))
		same(t, "given", r.given(), "1.1 start")
		same(t, "acks", j.sent(), "eu 1.1 received, eu 1.1 prepared")
		j.take(prepared(1), verdict(decisions.VerdictHold), verdict(decisions.VerdictRollback))
		same(t, "given", r.given(), "1.2 start, 1.3 hold, 1.4 rollback")
		same(t, "acks", j.sent(), "eu 1.2 received, eu 1.2 applied, eu 1.3 received, eu 1.3 applied, eu 1.4 received, eu 1.4 applied")
		same(t, "errors", r.errors(), "")
	})
}

func TestAdvise(t *testing.T) {
	bubble(t, func(t *testing.T, j *judge) {
		r := j.follow()
		defer r.stop()
		j.take(applied(1, advise, weight), verdict(decisions.VerdictRollback))
		same(t, "given", r.given(), "1.1 start advise, 1.2 start advise, 1.3 rollback advise")
		same(t, "acks", j.sent(), "eu 1.1 received, eu 1.2 received, eu 1.3 received")
	})
}

// TestResume: after a restart nothing is carried out twice, the routes in force come once more, and what was missed comes.
func TestResume(t *testing.T) {
	bubble(t, func(t *testing.T, j *judge) {
		store, err := Dir(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		kept := func(o *Options, _ *router) { o.Store = store }
		r := j.follow(kept)
		j.take(applied(1, weight), prepared(1))
		same(t, "given", r.given(), "1.1 start, 1.2 start")
		r.stop()
		same(t, "acks", j.sent(), "eu 1.1 received, eu 1.1 prepared, eu 1.2 received, eu 1.2 applied")

		r = j.follow(kept)
		same(t, "after a restart", r.given(), "1.2 start restored")
		r.stop()
		same(t, "acks: they are the same ones", j.sent(), "")

		j.take(verdict(decisions.VerdictHold), verdict(decisions.VerdictRollback))
		r = j.follow(kept)
		same(t, "after a restart with news", r.given(), "1.4 rollback")
		r.stop()

		time.Sleep(time.Hour) // beyond the window of duplicates: a lost ack is sent again
		j.sent()
		r = j.follow(kept)
		same(t, "given", r.given(), "1.4 rollback restored")
		r.stop()
		same(t, "acks", j.sent(), "eu 1.4 applied")

		r = j.follow() // one that remembers nothing
		same(t, "given", r.given(), "1.4 rollback")
		r.stop()
	})
}

// TestRoutesBeforeLater: where later decisions carry no routes, a router that keeps them in memory still finds those in force.
func TestRoutesBeforeLater(t *testing.T) {
	bubble(t, func(t *testing.T, j *judge) {
		store := Memory()
		kept := func(o *Options, _ *router) { o.Store = store }
		r := j.follow(kept)
		begun := prepared(1)
		ack := *begun.Ack
		ack.Decision, ack.Seq, ack.Status = "r-1.1.2", 2, schemas.AckApplied
		j.take(applied(1), begun, decisions.Input{Kind: decisions.InputAck, EventMs: 3000, WallMs: 3000, Ack: &ack}, verdict(decisions.VerdictPromote), applied(2))
		same(t, "given", r.given(), "1.1 start, 1.2 start, 1.3 promote, 2.1 start")
		r.stop()
		r = j.follow(kept)
		same(t, "after a restart", r.given(), "1.3 promote restored")
		r.stop()
		r = j.follow()
		same(t, "one that is new", r.given(), "1.3 promote, 2.1 start")
		r.stop()
	})
}

// TestServerRestart: the subscriber waits for the server, and then has all that it missed.
func TestServerRestart(t *testing.T) {
	bubble(t, func(t *testing.T, j *judge) {
		r := j.follow(func(o *Options, _ *router) {
			conn, err := nats.Connect("", nats.InProcessServer(inProcess{j}), nats.MaxReconnects(-1), nats.ReconnectWait(time.Second), nats.ReconnectBufSize(-1))
			if err != nil {
				t.Fatal(err)
			}
			j.conns = append(j.conns, conn)
			o.Conn = conn
		})
		defer r.stop()
		j.take(applied(1, weight))
		same(t, "given", r.given(), "1.1 start")
		j.restarts()
		j.take(prepared(1), verdict(decisions.VerdictRollback))
		time.Sleep(2 * time.Minute)
		if have := r.given(); !strings.HasSuffix(have, "1.3 rollback") {
			t.Errorf("given %s, want the rollback last", have)
		}
		if have := j.sent(); !strings.HasSuffix(have, "eu 1.3 applied") {
			t.Errorf("acks %s", have)
		}
		j.answersWait(r)
		j.restored(r)
	})
}

// TestLogGone: a decision log that was deleted is looked for until it is there again, from its beginning, and a subscriber that is told to stop meanwhile does.
func TestLogGone(t *testing.T) {
	for _, back := range []bool{false, true} {
		t.Run(fmt.Sprint("back=", back), func(t *testing.T) {
			bubble(t, func(t *testing.T, j *judge) {
				r := j.follow()
				j.take(applied(1), prepared(1))
				same(t, "given", r.given(), "1.1 start, 1.2 start")
				j.stop()
				j.done <- <-j.done // the intake ends before its stream does
				js, _ := jetstream.New(j.connect())
				if err := js.DeleteStream(t.Context(), schemas.StreamName); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				if back {
					if err := j.bus.Ensure(t.Context()); err != nil {
						t.Fatal(err)
					}
					j.head = decisions.NewHead(0)
					j.take(applied(2))
					time.Sleep(time.Minute)
					same(t, "given", r.given(), "2.1 start")
				}
				began := time.Now()
				r.stop()
				if took := time.Since(began); took > 15*time.Second {
					t.Errorf("it took %s to stop", took)
				}
			})
		})
	}
}

// inProcess connects to the judge's server of that moment.
type inProcess struct{ j *judge }

func (p inProcess) InProcessConn() (conn netConn, err error) {
	return p.j.server.Load().InProcessConn()
}

// TestFailing: a handler that fails is called again with growing pauses, until it succeeds or is overtaken.
func TestFailing(t *testing.T) {
	bubble(t, func(t *testing.T, j *judge) {
		left := 2
		var at []time.Duration
		begin := time.Now()
		r := j.follow(func(_ *Options, r *router) {
			r.answer = func(d Delivery) error {
				at = append(at, time.Since(begin).Round(time.Second))
				if left--; left >= 0 {
					return errors.New("no disk")
				}
				return nil
			}
		})
		defer r.stop()
		j.take(applied(1))
		time.Sleep(time.Minute)
		same(t, "given", r.given(), "1.1 start, 1.1 start attempt 2, 1.1 start attempt 3")
		r.locked(func() { same(t, "pauses", fmt.Sprint(at), "[0s 1s 3s]") })
		same(t, "acks", j.sent(), "eu 1.1 received, eu 1.1 failed no disk, eu 1.1 prepared")
		r.locked(func() { left = 1 << 30 })
		j.take(prepared(1))
		time.Sleep(10 * time.Second)
		r.locked(func() { left = 0 })
		j.take(verdict(decisions.VerdictRollback))
		time.Sleep(time.Minute)
		if have := r.given(); !strings.HasSuffix(have, "attempt 4, 1.3 rollback") {
			t.Errorf("given %s, want the failing one overtaken", have)
		}
	})
}

// TestRejecting: a refusal is answered, and not tried again until the decision is sent again.
func TestRejecting(t *testing.T) {
	bubble(t, func(t *testing.T, j *judge) {
		refuse := true
		r := j.follow(func(_ *Options, r *router) {
			r.answer = func(d Delivery) error {
				if refuse && d.Decision.Action == schemas.ActionRollback {
					return Reject(schemas.WhyCapacity)
				}
				return nil
			}
		})
		defer r.stop()
		j.take(applied(1), prepared(1), verdict(decisions.VerdictRollback))
		time.Sleep(time.Minute)
		same(t, "given", r.given(), "1.1 start, 1.2 start, 1.3 rollback")
		if have := j.sent(); !strings.HasSuffix(have, "eu 1.3 received, eu 1.3 rejected capacity") {
			t.Errorf("acks %s", have)
		}
		r.locked(func() { refuse = false })
		if err := j.bus.Again(t.Context(), model, "r-1.1.3"); err != nil {
			t.Fatal(err)
		}
		same(t, "sent again", r.given(), "1.3 rollback attempt 2")
		same(t, "acks", j.sent(), "eu 1.3 applied")
	})
}

// TestForged: unsigned, signed by another, changed, of another model, under a wrong id: none of it reaches the handler, nor is answered.
func TestForged(t *testing.T) {
	good := func() (*schemas.Decision, []byte) {
		h, effects, err := decisions.NewHead(0).Take(applied(9, weight))
		if err != nil || len(h.Outbox) != 1 {
			t.Fatal(err)
		}
		return &effects[0].Decision.Decision, effects[0].Decision.Body
	}
	resigned := func(change func(*schemas.Decision)) schemas.Signed {
		d, _ := good()
		change(d)
		body, err := schemas.EncodeDecision("x", d)
		if err != nil {
			t.Fatal(err)
		}
		return key(1).Sign(body)
	}
	_, body := good()
	tampered := key(1).Sign(body)
	tampered.Body = []byte(strings.Replace(string(body), `"weight_bp":10000`, `"weight_bp":9999`, 1))
	tests := map[string]struct {
		signed schemas.Signed
		want   string
	}{
		"unsigned":      {schemas.Signed{Body: body, KeyID: key(1).ID()}, "a signature of"},
		"no key":        {schemas.Signed{Body: body}, "not trusted"},
		"another's key": {key(2).Sign(body), "not trusted"},
		"another's signature under a known id": {schemas.Signed{Body: body, KeyID: key(1).ID(), Signature: key(2).Sign(body).Signature},
			"signature doesn't fit"},
		"changed":       {tampered, "signature doesn't fit"},
		"another model": {resigned(func(d *schemas.Decision) { d.Model = "other" }), `is of model "other"`},
		"wrong id":      {resigned(func(d *schemas.Decision) { d.ID = "r-1.9.2" }), "its id should be"},
		"no decision":   {key(1).Sign([]byte("{}")), "specversion"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, j *judge) {
				r := j.follow()
				defer r.stop()
				j.put(test.signed)
				same(t, "given", r.given(), "")
				if have := r.errors(); strings.Count(have, test.want) != 2 {
					t.Errorf("errors %q, want %q of the log and of the route", have, test.want)
				}
				same(t, "acks", j.sent(), "")
				j.take(applied(10)) // it goes on
				same(t, "given", r.given(), "10.1 start")
			})
		})
	}
}

// put writes a message to the log and to the route document as it is; the judge goes on behind it.
func (j *judge) put(s schemas.Signed) {
	j.t.Helper()
	js, _ := jetstream.New(j.connect())
	subject, _ := schemas.DecisionSubject(model)
	m := &nats.Msg{Subject: subject, Data: s.Body, Header: nats.Header{}}
	m.Header.Set(schemas.HeaderKeyID, s.KeyID)
	m.Header.Set(schemas.HeaderSignature, schemas.EncodeSignature(s.Signature))
	ack, err := js.PublishMsg(j.t.Context(), m)
	if err != nil {
		j.t.Fatal(err)
	}
	j.head.SubjectSeq = ack.Sequence
	value := fmt.Sprintf(`{"body":%q,"key_id":%q,"signature":%q}`, base64.StdEncoding.EncodeToString(s.Body), s.KeyID, base64.StdEncoding.EncodeToString(s.Signature))
	if len(s.Signature) == 0 || s.KeyID == "" {
		value = strings.Replace(value, `"signature":""`, `"signature":"AA=="`, 1)
		value = strings.Replace(value, `"key_id":""`, `"key_id":"?"`, 1)
	}
	kv, err := js.KeyValue(j.t.Context(), schemas.RoutesBucket)
	if err != nil {
		j.t.Fatal(err)
	}
	token, _ := schemas.RouteKey(model)
	if _, err := kv.Put(j.t.Context(), token, []byte(value)); err != nil {
		j.t.Fatal(err)
	}
	synctest.Wait()
}

// TestTamperedAnywhere: whichever byte of the body or of the signature is changed, nothing verifies.
func TestTamperedAnywhere(t *testing.T) {
	_, effects, err := decisions.NewHead(0).Take(applied(1, weight))
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{o: &Options{}, model: model, trust: schemas.NewTrust(key(1).Public())}
	signed := key(1).Sign(effects[0].Decision.Body)
	if _, err := f.verified(message{signed: signed}); err != nil {
		t.Fatal(err)
	}
	for i := range signed.Body {
		body := []byte(string(signed.Body))
		body[i] ^= 1 << (i % 8)
		if _, err := f.verified(message{signed: schemas.Signed{Body: body, KeyID: signed.KeyID, Signature: signed.Signature}}); !errors.Is(err, schemas.ErrBadSignature) {
			t.Fatalf("byte %d of the body changed: error %v", i, err)
		}
	}
	for i := range signed.Signature {
		signature := []byte(string(signed.Signature))
		signature[i] ^= 1 << (i % 8)
		if _, err := f.verified(message{signed: schemas.Signed{Body: signed.Body, KeyID: signed.KeyID, Signature: signature}}); !errors.Is(err, schemas.ErrBadSignature) {
			t.Fatalf("byte %d of the signature changed: error %v", i, err)
		}
	}
	t.Logf("%d bytes", len(signed.Body)+len(signed.Signature))
}

// TestStaleEpoch: a decision of an older epoch, well signed, is refused and told so; an older route document is left alone.
func TestStaleEpoch(t *testing.T) {
	bubble(t, func(t *testing.T, j *judge) {
		r := j.follow()
		defer r.stop()
		_, old, err := decisions.NewHead(0).Take(applied(1, weight))
		if err != nil {
			t.Fatal(err)
		}
		j.take(applied(3, weight))
		same(t, "given", r.given(), "3.1 start")
		j.sent()
		j.put(key(1).Sign(old[0].Decision.Body))
		same(t, "given", r.given(), "")
		same(t, "acks", j.sent(), "eu 1.1 rejected stale-epoch")
	})
}

// TestOlderNumber: within an epoch, too, a decision below the one that was carried out never comes back, however it is sent again: to a
// router that runs, and to one that has its position from a store.
func TestOlderNumber(t *testing.T) {
	bubble(t, func(t *testing.T, j *judge) {
		store := Memory()
		kept := func(o *Options, _ *router) { o.Store = store }
		r := j.follow(kept)
		h := j.head
		var bodies [][]byte
		for _, in := range []decisions.Input{applied(1, weight), prepared(1), verdict(decisions.VerdictRollback)} {
			var effects []decisions.Effect
			h, effects, _ = h.Take(in)
			bodies = append(bodies, effects[0].Decision.Body)
			j.take(in)
		}
		same(t, "given", r.given(), "1.1 start, 1.2 start, 1.3 rollback")
		j.sent()
		for _, body := range bodies[:2] {
			j.put(key(1).Sign(body))
		}
		same(t, "given", r.given(), "")
		same(t, "acks", j.sent(), "")
		r.stop()
		r = j.follow(kept)
		same(t, "given after a restart", r.given(), "")
		j.put(key(1).Sign(bodies[1]))
		same(t, "given after a restart, live", r.given(), "")
		same(t, "acks", j.sent(), "")
		j.put(key(1).Sign(bodies[2]))
		same(t, "what is in force", r.given(), "1.3 rollback restored")
		r.stop()
	})
}

// TestOlderThanRefused: what is older than a decision that the handler was given never comes after it, also where it refuses that, and has carried out neither.
func TestOlderThanRefused(t *testing.T) {
	bubble(t, func(t *testing.T, j *judge) {
		r := j.follow(func(_ *Options, r *router) {
			r.answer = func(d Delivery) error {
				if d.Decision.Seq > 1 {
					return Reject(schemas.WhyCapacity)
				}
				return nil
			}
		})
		defer r.stop()
		j.take(applied(1, weight))
		_, effects, err := j.head.Take(prepared(1))
		if err != nil {
			t.Fatal(err)
		}
		j.take(prepared(1), verdict(decisions.VerdictRollback))
		same(t, "given", r.given(), "1.1 start, 1.2 start, 1.3 rollback")
		same(t, "acks", j.sent(), "eu 1.1 received, eu 1.1 prepared, eu 1.2 received, eu 1.2 rejected capacity, eu 1.3 received, eu 1.3 rejected capacity")
		j.put(key(1).Sign(effects[0].Decision.Body))
		same(t, "given the start after the rollback", r.given(), "")
		same(t, "acks", j.sent(), "")
	})
}

// TestExpired: a decision that says that it is too old is refused. (A rollback can't say so: schemas refuses that.)
func TestExpired(t *testing.T) {
	for _, row := range []struct {
		action      schemas.Action
		within      time.Duration
		given, acks string
	}{
		{schemas.ActionPromote, -time.Second, "", "eu 1.1 rejected policy"},
		{schemas.ActionPromote, time.Minute, "1.1 promote", "eu 1.1 received, eu 1.1 applied"},
	} {
		t.Run(fmt.Sprint(row.action, row.within), func(t *testing.T) {
			bubble(t, func(t *testing.T, j *judge) {
				r := j.follow()
				defer r.stop()
				_, effects, err := j.head.Take(applied(1, weight))
				if err != nil {
					t.Fatal(err)
				}
				d := effects[0].Decision.Decision
				d.Action, d.Phase, d.ExpiresAt = row.action, "", schemas.Time(time.Now().Add(row.within).UnixMilli())
				body, err := schemas.EncodeDecision("test", &d)
				if err != nil {
					t.Fatal(err)
				}
				j.put(key(1).Sign(body))
				same(t, "given", r.given(), row.given)
				same(t, "acks", j.sent(), row.acks)
			})
		})
	}
}

// TestTrustOnFirstUse: the first key is learned, from the log alone, and kept; another's is refused from then on.
func TestTrustOnFirstUse(t *testing.T) {
	bubble(t, func(t *testing.T, j *judge) {
		store := Memory()
		first := func(o *Options, _ *router) { o.Trust, o.TrustOnFirstUse, o.Store = schemas.Trust{}, true, store }
		j.take(applied(1, weight))
		r := j.follow(first)
		same(t, "given", r.given(), "1.1 start")
		same(t, "errors", r.errors(), "")
		j.bus = j.busOf(key(2))
		j.take(prepared(1))
		same(t, "of another key", r.given(), "")
		r.stop()
		r = j.follow(first)
		same(t, "of another key, after a restart", r.given(), "")
		if have := r.errors(); !strings.Contains(have, "not trusted") {
			t.Errorf("errors %q", have)
		}
		r.stop()
	})
}

// TestBeforeTheStream: a subscriber may be there before the engine ever was.
func TestBeforeTheStream(t *testing.T) {
	bubble(t, func(t *testing.T, j *judge) {
		j.stop()
		j.done <- <-j.done // the intake ends before its stream does
		js, _ := jetstream.New(j.connect())
		for _, name := range []string{schemas.StreamName, "KV_" + schemas.RoutesBucket} {
			if err := js.DeleteStream(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		r := j.follow()
		defer r.stop()
		time.Sleep(time.Minute)
		if have := strings.Count(r.errors(), "\n"); have > 2 {
			t.Errorf("%d errors for one cause: %s", have+1, r.errors())
		}
		if err := j.bus.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		j.take(applied(1))
		time.Sleep(5 * time.Second)
		same(t, "given", r.given(), "1.1 start")
	})
}

// TestJudge: silence is told, and its end.
func TestJudge(t *testing.T) {
	bubble(t, func(t *testing.T, j *judge) {
		var said []string
		begin := time.Now()
		r := j.follow(func(o *Options, _ *router) {
			o.OnJudge = func(alive bool, _ time.Time) {
				said = append(said, fmt.Sprintf("%v at %s", alive, time.Since(begin).Round(time.Second)))
			}
		})
		beat := func() {
			if err := j.bus.Heartbeat(t.Context(), &schemas.Heartbeat{Instance: "a", At: 1, EveryMs: 5000}); err != nil {
				t.Fatal(err)
			}
		}
		beat()
		time.Sleep(14 * time.Second)
		beat()
		time.Sleep(16 * time.Second)
		beat()
		synctest.Wait()
		r.stop()
		same(t, "said", strings.Join(said, ", "), "false at 29s, true at 30s")
	})
}

func TestOptions(t *testing.T) {
	trust := schemas.NewTrust(key(1).Public())
	tests := map[string]struct {
		o    Options
		want string
	}{
		"nowhere":        {Options{Models: []string{"m"}, Consumer: "c", Trust: trust}, "neither URLs nor Conn"},
		"no model":       {Options{URLs: []string{"x"}, Consumer: "c", Trust: trust}, "Models is empty"},
		"twice a model":  {Options{URLs: []string{"x"}, Models: []string{"m", "m"}, Consumer: "c", Trust: trust}, "twice"},
		"no consumer":    {Options{URLs: []string{"x"}, Models: []string{"m"}, Trust: trust}, "empty"},
		"no key":         {Options{URLs: []string{"x"}, Models: []string{"m"}, Consumer: "c"}, "Trust holds no key"},
		"two of them":    {Options{URLs: []string{"x"}, Models: []string{"m"}, Consumer: "c", Trust: trust, TrustOnFirstUse: true}, "choose one"},
		"nobody answers": {Options{URLs: []string{"nats://127.0.0.1:1"}, Models: []string{"m"}, Consumer: "c", Trust: trust}, "nats://127.0.0.1:1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := Run(t.Context(), test.o, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with %q", err, test.want)
			}
		})
	}
}
