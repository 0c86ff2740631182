package bus

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// TestAgainWithoutRoutes: a decision without routes is asked again beside the route document, which stays as it is, and only while it is the model's last.
func TestAgainWithoutRoutes(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		b := open(t, connect())
		h := deliver(t, b, take(t, decisions.NewHead(0), applied(1), prepared(1), verdict(decisions.VerdictRollback)))
		before, revision, err := b.route(t.Context(), "ranker/v.1")
		if err != nil {
			t.Fatal(err)
		}
		second := applied(2)
		second.Applied.Terms.Stages = []decisions.StageTerms{{}}
		h = deliver(t, b, take(t, h, second))
		deliver(t, b, take(t, h, prepared(2))) // 2.2, without routes as well
		key, err := schemas.AgainKey("ranker/v.1")
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			id     string
			stands uint64 // how often it was written
		}{{"r-1.2.1", 0}, {"r-1.2.2", 1}, {"r-1.2.2", 2}, {"r-1.2.3", 2}} {
			if err := b.Again(t.Context(), "ranker/v.1", test.id); err != nil {
				t.Fatal(err)
			}
			entry, err := b.get(t.Context(), schemas.RoutesBucket, key)
			if test.stands == 0 {
				if err == nil {
					t.Errorf("%s is asked again, and it isn't the last", test.id)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			last, err := b.LastDecision(t.Context(), "ranker/v.1")
			if err != nil {
				t.Fatal(err)
			}
			signed, err := schemas.DecodeSigned(entry.Value())
			if err != nil || !bytes.Equal(signed.Body, last.Signed.Body) || !bytes.Equal(signed.Signature, last.Signed.Signature) || entry.Revision() != revision+test.stands {
				t.Errorf("after %s: revision %d, %s (%v), want the last decision as it is in the log, for the %d. time", test.id, entry.Revision(), signed.Body, err, test.stands)
			}
		}
		if after, same, err := b.route(t.Context(), "ranker/v.1"); err != nil || same != revision || after.ID != before.ID || len(after.Routes) == 0 {
			t.Errorf("the route document was touched: %+v, revision %d, %v", after, same, err)
		}
	})
}

// TestAgainDenied: where serve may not write what is asked again, that is told, and decisions go on.
func TestAgainDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true, Users: []*server.User{
			{Username: "serve", Password: "x", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"$KV.streamcanary-routes.again/ranker=2Fv=2E1"}}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		if !s.ReadyForConnections(10 * time.Second) {
			t.Fatal("NATS is not ready")
		}
		conn, err := nats.Connect("", nats.InProcessServer(s), nats.UserInfo("serve", "x"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { conn.Close(); s.Shutdown(); s.WaitForShutdown() }()
		var told []string
		b := open(t, conn, func(o *Options) { o.OnError = func(err error) { told = append(told, err.Error()) } })
		in := applied(1)
		in.Applied.Terms.Stages = []decisions.StageTerms{{}}
		h := deliver(t, b, take(t, decisions.NewHead(0), in))
		due := h.State.Deadlines()[0]
		late := decisions.Input{Kind: decisions.InputExpired, EventMs: due.AtMs, WallMs: due.AtMs, Expired: &decisions.Expired{Deadline: due.ID}}
		h = deliver(t, b, take(t, h, late, prepared(1)))
		want := "ask decision r-1.1.1 of model ranker/v.1 again, in key again/ranker=2Fv=2E1 of bucket streamcanary-routes at "
		if len(told) != 1 || !strings.HasPrefix(told[0], want) || !strings.Contains(told[0], "look whether serve may publish to $KV.streamcanary-routes.> (the NATS permissions)") {
			t.Errorf("told %q", told)
		}
		if last, err := b.LastDecision(t.Context(), "ranker/v.1"); err != nil || last.Decision.ID != "r-1.1.2" || len(h.Outbox) > 0 {
			t.Errorf("%s is the last decision (%v), %d wait", last.Decision.ID, err, len(h.Outbox))
		}
	})
}
