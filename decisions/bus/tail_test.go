package bus

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// A stranger may publish where only the judge should.
type stranger struct {
	*testing.T
	js  jetstream.JetStream
	bus *Bus
}

// writes publishes a body on the model's decision subject, signed by a key (nil: by none), under an id ("": without).
func (s *stranger) writes(body []byte, by *schemas.SigningKey, id string) {
	s.Helper()
	subject, err := schemas.DecisionSubject("ranker/v.1")
	if err != nil {
		s.Fatal(err)
	}
	m := &nats.Msg{Subject: subject, Data: body, Header: nats.Header{}}
	if by != nil {
		signed := by.Sign(body)
		m.Header.Set(schemas.HeaderKeyID, signed.KeyID)
		m.Header.Set(schemas.HeaderSignature, schemas.EncodeSignature(signed.Signature))
	}
	if id != "" {
		m.Header.Set(schemas.HeaderMessageID, id)
	}
	if _, err := s.js.PublishMsg(s.Context(), m); err != nil {
		s.Fatal(err)
	}
}

// body is that of a decision in the log.
func (s *stranger) body(id string) []byte {
	s.Helper()
	l, err := s.bus.Decision(s.Context(), id)
	if err != nil {
		s.Fatal(err)
	}
	return l.Signed.Body
}

// TestForeign: what no trusted key has signed, what is garbage, and what was signed once and is published again stop nothing: decisions are published behind it, it counts for
// nothing where the log is read back, and every one of them is told.
func TestForeign(t *testing.T) {
	great := func(body []byte) []byte {
		return []byte(strings.NewReplacer(`"epoch":1`, `"epoch":9223372036854775807`, "r-1.1.", "r-1.9223372036854775807.").Replace(string(body)))
	}
	for _, row := range []struct {
		name   string
		writes func(s *stranger)
		why    string
		n      int
	}{
		{"garbage", func(s *stranger) { s.writes([]byte("hello"), nil, "") }, "no JSON object", 1},
		{"a copy of the last one", func(s *stranger) { s.writes(s.body("r-1.1.2"), key(s.T, 1), "") }, "it is a copy", 1},
		{"a copy of an older one", func(s *stranger) { s.writes(s.body("r-1.1.1"), key(s.T, 1), "") }, "it is a copy", 1},
		{"unsigned, of a great epoch", func(s *stranger) { s.writes(great(s.body("r-1.1.2")), nil, "") }, "not trusted", 1},
		{"signed by another key", func(s *stranger) { s.writes(great(s.body("r-1.1.2")), key(s.T, 2), "") }, "not trusted", 1},
		{"of another model", func(s *stranger) {
			s.writes([]byte(strings.ReplaceAll(string(great(s.body("r-1.1.2"))), "ranker/v.1", "other")), key(s.T, 1), "")
		}, `is of model "other"`, 1},
		{"under an id that isn't its own", func(s *stranger) {
			s.writes([]byte(strings.ReplaceAll(string(s.body("r-1.1.2")), `"seq":2`, `"seq":7`)), key(s.T, 1), "")
		}, "its id should be", 1},
		{"the id of the next one", func(s *stranger) { s.writes([]byte("hello"), nil, "r-1.1.3") }, "no JSON object", 1},
		{"many", func(s *stranger) {
			for i := range 30 {
				s.writes(fmt.Append(nil, i), nil, "")
			}
		}, "no JSON object", 30},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, connect func() *nats.Conn) {
				var heard []Foreign
				conn := connect()
				b := open(t, conn, func(o *Options) {
					o.OnForeign = func(f Foreign) {
						if len(heard) == 0 || heard[len(heard)-1].Sequence < f.Sequence { // the same is heard of again
							heard = append(heard, f)
						}
					}
				})
				h := deliver(t, b, take(t, decisions.NewHead(0), applied(1), prepared(1)))
				js, _ := jetstream.New(conn)
				row.writes(&stranger{t, js, b})
				if last, err := b.LastDecision(t.Context(), "ranker/v.1"); err != nil || last.Decision.ID != "r-1.1.2" || last.Sequence != 2 {
					t.Errorf("the last decision is %+v (%v)", last, err)
				}
				if err := b.CheckLog(t.Context(), []decisions.Head{h}); err != nil {
					t.Error(err)
				}
				heard = nil
				h = deliver(t, b, take(t, h, verdict(decisions.VerdictRollback)))
				if len(heard) != row.n || !strings.Contains(heard[0].Why.Error(), row.why) || heard[0].Sequence != 3 || heard[0].Model != "ranker/v.1" {
					t.Errorf("heard of %v, want %d that say %s", heard, row.n, row.why)
				}
				last, err := b.LastDecision(t.Context(), "ranker/v.1")
				if err != nil || last.Decision.ID != "r-1.1.3" || last.Sequence != h.SubjectSeq || last.Sequence != uint64(row.n+3) {
					t.Errorf("the last decision is %+v (%v), the record's %d", last, err, h.SubjectSeq)
				}
				if route, err := b.Route(t.Context(), "ranker/v.1"); err != nil || route.ID != "r-1.1.3" {
					t.Errorf("route %+v (%v)", route, err)
				}
			})
		})
	}
}

// TestForeignBetween: of two decisions one was published, its answer lost, and then somebody else wrote.
func TestForeignBetween(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		conn := connect()
		b := open(t, conn)
		in := applied(1)
		in.Applied.Terms.Mode = schemas.Advise // prepare and commit at once
		h := take(t, decisions.NewHead(0), in)
		d, _ := h.Next()
		if _, err := b.do(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		js, _ := jetstream.New(conn)
		(&stranger{t, js, b}).writes([]byte("hello"), nil, "")
		h = deliver(t, b, h)
		var words []string
		for _, l := range log(t, b) {
			if l.Decision != nil {
				words = append(words, fmt.Sprint(l.Sequence, " ", l.Decision.ID))
			}
		}
		if have := strings.Join(words, ", "); have != "1 r-1.1.1, 3 r-1.1.2" || h.SubjectSeq != 3 {
			t.Errorf("the log holds %s, the record knows %d", have, h.SubjectSeq)
		}
	})
}

// TestForeignBefore: a model's subject has garbage before its first decision; and a fence behind garbage is one.
func TestForeignBefore(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		conn := connect()
		b := open(t, conn)
		js, _ := jetstream.New(conn)
		s := &stranger{t, js, b}
		s.writes([]byte("hello"), nil, "")
		if _, err := b.LastDecision(t.Context(), "ranker/v.1"); !errors.Is(err, ErrNotFound) {
			t.Errorf("error %v, want ErrNotFound", err)
		}
		h := deliver(t, b, take(t, decisions.NewHead(0), applied(1)))
		s.writes([]byte("hello"), nil, "")
		other := verdict(decisions.VerdictRollback)
		other.WallMs++
		deliver(t, b, take(t, h, prepared(1), other))
		s.writes([]byte("hello"), nil, "")
		if _, err := b.Deliver(t.Context(), take(t, h, prepared(1), verdict(decisions.VerdictHold))); !errors.Is(err, ErrFenced) {
			t.Errorf("error %v, want ErrFenced", err)
		}
	})
}

// TestForeignRoute: a route document that no trusted key has signed keeps no decision from becoming it.
func TestForeignRoute(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		b, forger := open(t, connect()), open(t, connect(), func(o *Options) { o.Key = key(t, 2) })
		h := deliver(t, b, take(t, decisions.NewHead(0), applied(1), prepared(1)))
		great := []byte(strings.NewReplacer(`"epoch":1`, `"epoch":7`, "r-1.1.", "r-1.7.").Replace(string((&stranger{t, nil, b}).body("r-1.1.2"))))
		for name, value := range map[string]func() error{
			"forged":  func() error { return forger.PutRoute(t.Context(), "ranker/v.1", great) },
			"garbage": func() error { return forger.setRoute(t.Context(), "ranker/v.1", []byte("hello"), revision(t, b)) },
		} {
			if err := value(); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Route(t.Context(), "ranker/v.1"); !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: error %v, want ErrNotFound", name, err)
			}
			if err := b.CheckLog(t.Context(), []decisions.Head{h}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		deliver(t, b, take(t, h, verdict(decisions.VerdictRollback)))
		if route, err := b.Route(t.Context(), "ranker/v.1"); err != nil || route.ID != "r-1.1.3" {
			t.Errorf("route %+v (%v)", route, err)
		}
	})
}

// revision is that of the model's route document.
func revision(t *testing.T, b *Bus) uint64 {
	t.Helper()
	key, err := schemas.RouteKey("ranker/v.1")
	if err != nil {
		t.Fatal(err)
	}
	entry, err := b.get(t.Context(), schemas.RoutesBucket, key)
	if err != nil {
		t.Fatal(err)
	}
	return entry.Revision()
}

// TestEarlierKey: what an earlier key signed counts where that is trusted, and what one's own record knows counts anyway.
func TestEarlierKey(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		before := open(t, connect())
		h := deliver(t, before, take(t, decisions.NewHead(0), applied(1), prepared(1)))
		for _, row := range []struct {
			name  string
			trust schemas.Trust
			last  string
		}{
			{"trusted", schemas.NewTrust(key(t, 1).Public(), key(t, 3).Public()), "r-1.1.2"},
			{"not trusted", schemas.Trust{}, ""},
		} {
			b := open(t, connect(), func(o *Options) { o.Key, o.Trust = key(t, 3), row.trust })
			last, err := b.LastDecision(t.Context(), "ranker/v.1")
			if idOf(last.Decision) != row.last && (row.last != "" || !errors.Is(err, ErrNotFound)) {
				t.Errorf("%s: the last decision is %s (%v), want %s", row.name, idOf(last.Decision), err, row.last)
			}
			if err := b.CheckLog(t.Context(), []decisions.Head{h}); err != nil {
				t.Errorf("%s: %v", row.name, err)
			}
		}
		b := open(t, connect(), func(o *Options) { o.Key = key(t, 3) })
		time.Sleep(time.Second)
		if h = deliver(t, b, take(t, h, verdict(decisions.VerdictRollback))); h.SubjectSeq != 3 {
			t.Errorf("record %+v", h)
		}
	})
}
