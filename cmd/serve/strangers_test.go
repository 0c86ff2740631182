package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// writes publishes a body on the model's decision subject, as somebody can who may publish there; with the service's own key, as another serve does.
func (v *village) writes(body string, signed bool) {
	v.Helper()
	subject, err := schemas.DecisionSubject("ranker")
	v.must(err)
	m := &nats.Msg{Subject: subject, Data: []byte(body), Header: nats.Header{}}
	if signed {
		pem, err := os.ReadFile(filepath.Join(v.dir, "data", "keys", "signing.pem"))
		v.must(err)
		key, err := schemas.ParseSigningKey(pem)
		v.must(err)
		m.Header.Set(schemas.HeaderKeyID, key.ID())
		m.Header.Set(schemas.HeaderSignature, schemas.EncodeSignature(key.Sign(m.Data).Signature))
	}
	js, err := jetstream.New(v.conn())
	v.must(err)
	_, err = js.PublishMsg(v.Context(), m)
	v.must(err)
}

// TestSinkPassesStrangersOver: a sink that moves traffic carries out the model's last decision, whatever somebody else has written behind it; a copy of an older one moves nothing.
func TestSinkPassesStrangersOver(t *testing.T) {
	inBooth(t, "gateway", false, func(b *booth) {
		b.rollsBack()
		b.answer = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(outsideRoute)) }
		subject, err := schemas.DecisionSubject("ranker")
		if err != nil {
			b.Fatal(err)
		}
		l, err := b.bus.Decision(b.Context(), "story.1.2")
		if err != nil {
			b.Fatal(err)
		}
		copied := &nats.Msg{Subject: subject, Data: l.Signed.Body, Header: nats.Header{}}
		copied.Header.Set(schemas.HeaderKeyID, l.Signed.KeyID)
		copied.Header.Set(schemas.HeaderSignature, schemas.EncodeSignature(l.Signed.Signature))
		forged := &nats.Msg{Subject: subject, Data: []byte(strings.ReplaceAll(string(l.Signed.Body), "story.1.2", "story.1.9"))}
		for _, m := range []*nats.Msg{{Subject: subject, Data: []byte("hello")}, copied, forged} {
			if _, err := b.conn.RequestMsgWithContext(b.Context(), m); err != nil {
				b.Fatal(err)
			}
		}
		again := b.told("story.1.2", 1)
		if err := b.bus.Log(b.Context(), bus.LogQuery{}, func(l bus.Logged) error {
			if l.Decision != nil && l.Decision.ID == "story.1.2" {
				again.Logged = l // the copy
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
		asked := b.asked
		b.takes("a copy", again, 0, "")
		if b.asked != asked {
			b.Error("a copy of an older decision was carried out")
		}
		b.takes("a forgery", b.told("story.1.9", 1), sinkAgain, "")
		if b.asked != asked {
			b.Error("a forged decision was carried out")
		}
		b.takes("the last one", b.told("story.1.3", 1), 0, "")
		if b.asked == asked {
			b.Error("the last decision was not carried out")
		}
		time.Sleep(trustWithin)
		old := b.told("story.1.9", 2)
		old.At = time.Now().Add(-trustWithin)
		b.takes("a forgery that nobody knew", old, 0, "somebody forges decisions")
		b.takes("the next forgery", b.told("story.1.9", 1), 0, "")
	})
}

// TestLastEpoch: a model whose epochs are used up has none begun; everything else goes on.
func TestLastEpoch(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.writes(v.body("story.1.2", `"epoch":1`, `"epoch":9007199254740991`, "story.1.2", "story.9007199254740991.2"), true)
		v.apply("story", storyHead+errorsMore+atOnce, func(a *Application) { a.Retry = true })
		v.wait(3 * time.Second)
		if page := v.page("/v1/rollouts"); !strings.Contains(page, "model ranker has had epoch 9007199254740991, and 9007199254740991 is the last one that there can be") {
			t.Errorf("rollouts: %s", page)
		}
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "200") {
			t.Errorf("ready: %s", ready)
		}
	})
}

// body is a decision in the log, with some texts replaced.
func (v *village) body(id string, replaced ...string) string {
	v.Helper()
	l, err := v.bus.Decision(v.Context(), id)
	v.must(err)
	return strings.NewReplacer(replaced...).Replace(string(l.Signed.Body))
}

// page is what the service answers over HTTP.
func (v *village) page(path string) string {
	v.Helper()
	return v.pageAt("127.0.0.1:8088", path)
}

// pageAt is what a service at an address answers.
func (v *village) pageAt(address, path string) string {
	v.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: v.network.DialContext, DisableKeepAlives: true}}
	r, err := client.Get("http://" + address + path)
	v.must(err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	v.must(err)
	return fmt.Sprint(r.StatusCode, " ", string(text))
}

// notices are those of a kind that were published so far.
func (v *village) notices(kind schemas.NoticeKind) []*schemas.Notice {
	v.Helper()
	var all []*schemas.Notice
	ctx, cancel := context.WithTimeout(v.Context(), time.Second)
	defer cancel()
	v.must(v.bus.Notices(ctx, func(n *schemas.Notice) error {
		if n.Kind == kind {
			all = append(all, n)
		}
		return nil
	}))
	v.wait(0)
	return all
}

// TestStrangers: what somebody else writes into the decision log stops nothing and is never believed: a rollback behind it reaches the router, the next epoch counts from one's own, no
// forged rollback makes the model chronic, and the service starts again. People are told once of garbage and once of forgeries, and all of it is counted.
func TestStrangers(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce+often, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5 * time.Second)
		v.writes("hello", false)
		v.writes(v.body("story.1.2", `"epoch":1`, `"epoch":9223372036854775807`, "story.1.2", "story.9223372036854775807.2"), false)
		v.writes(v.body("story.1.2", `"action":"start"`, `"action":"rollback"`, `"phase":"commit",`, "", "story.1.2", "other.7.2", `"rollout":"story"`, `"rollout":"other"`, `"epoch":1`, `"epoch":7`), false)
		v.writes(v.body("story.1.1"), true)
		if reply := v.ask("rollback", false); reply.Decision != "story.1.3" {
			t.Fatalf("a rollback is answered with %+v", reply)
		}
		v.completed()
		if share := v.share.Load(); share != 0 {
			t.Errorf("the router leaves the canary %d basis points", share)
		}
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "200") {
			t.Errorf("ready: %s", ready)
		}
		if told := v.notices(schemas.NoticeForeignDecision); len(told) != 2 || told[0].Severity != schemas.Critical || !strings.Contains(told[0].Sentence, "NATS permissions") {
			t.Errorf("told %d times: %+v", len(told), told)
		}
		if metrics := v.page("/metrics"); !strings.Contains(metrics, `streamcanary_foreign_decisions_total{model="ranker"} 4`) {
			t.Errorf("not counted: %s", metrics)
		}
		v.writes("hello again", false)
		v.restart()
		v.apply("story", storyHead+errorsMore+atOnce+often, func(a *Application) { a.Retry = true })
		v.until("a second epoch", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusRunning })
		head, _, err := v.bus.LoadHead(v.Context(), "story")
		v.must(err)
		if past := head.State.Past; len(past) != 1 || past[0].Rollout != "story" || past[0].Epoch != 1 {
			t.Errorf("rollbacks so far: %+v", past)
		}
	})
}

// TestPastBegan: of a model's rollbacks those count whose rollout had begun; one that ended what only prepared tried nothing.
func TestPastBegan(t *testing.T) {
	inVillage(t, rolloutWith(elsewhere+sharedAnd), "", func(v *village) { // its store is silent
		v.wait(5 * time.Second)
		v.ask("rollback", false)
		v.completed()
		v.apply("story", storyHead+errorsMore+atOnce, func(a *Application) { a.Retry = true })
		v.until("a second epoch", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusRunning })
		v.ask("rollback", false)
		v.completed()
		v.apply("story", storyHead+errorsMore+atOnce, func(a *Application) { a.Retry = true })
		v.until("a third epoch", func(s *decisions.State) bool { return s.Epoch == 3 && s.Status == decisions.StatusRunning })
		head, _, err := v.bus.LoadHead(v.Context(), "story")
		v.must(err)
		if past := head.State.Past; len(past) != 1 || past[0].Epoch != 2 {
			t.Errorf("rollbacks so far: %+v", past)
		}
	})
}

// TestLost: a decision that another serve was faster with is never answered as made: the command fails and says what to do, the service isn't ready, and people are told; a new epoch
// decides again.
func TestLost(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5 * time.Second)
		v.writes(v.body("story.1.2", `"seq":2`, `"seq":3`, "story.1.2", "story.1.3"), true)
		for range 2 { // a second one is answered alike
			reply := v.ask("rollback", false)
			if reply.Decision != "" || !strings.Contains(reply.Failed, "This serve no longer decides for rollout story, and has not published [story.1.3]: routers stay as they are, so canary v2 keeps 10 % of users though it is to be rolled back (ada rolled v2 back: the story wants it). "+
				"Nothing takes it back: move its users to v1 by hand now. ") || !strings.Contains(reply.Failed, "rollout retry story") {
				t.Errorf("a rollback is answered with %+v", reply)
			}
		}
		v.wait(2 * time.Second)
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "503 rollout story is lost: This serve no longer decides") {
			t.Errorf("ready: %s", ready)
		}
		if told := v.notices(schemas.NoticeRolloutLost); len(told) != 1 || told[0].Severity != schemas.Critical {
			t.Errorf("told %d times: %+v", len(told), told)
		}
		if metrics := v.page("/metrics"); !strings.Contains(metrics, `streamcanary_rollout_lost{model="ranker",rollout="story"} 1`) {
			t.Error("the metric doesn't say it")
		}
		if reply := v.ask("retry", true); reply.Decision != "story.2.1" { // as it was told to
			t.Errorf("a retry is answered with %+v", reply)
		}
		v.until("a second epoch", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusRunning })
		v.wait(time.Second)
		if reply := v.ask("rollback", false); reply.Decision != "story.2.3" {
			t.Errorf("a rollback is answered with %+v", reply)
		}
		v.completed()
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "200") || v.share.Load() != 0 {
			t.Errorf("ready: %s, the canary has %d basis points", ready, v.share.Load())
		}
		v.requests.Store(0)
		v.wait(foundAfter + 2*time.Second)
		v.restart() // what is told to be over is told once
		v.wait(foundAfter + 2*time.Second)
		if told := v.notices(schemas.NoticeRolloutFound); len(told) != 1 || told[0].Severity != schemas.Info || !strings.Contains(told[0].Sentence, "decides for rollout story, which was told to be lost at ") {
			t.Errorf("told %d times that it isn't lost: %+v", len(told), told)
		}
	})
}

// TestLogGone: where the decision log has lost what a rollout's record knows of, the service starts, decides nothing for that one, and says so; another model is judged.
func TestLogGone(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.stopService()
		v.wait(time.Second)
		js, err := jetstream.New(v.conn())
		v.must(err)
		v.must(js.DeleteStream(v.Context(), schemas.StreamName))
		v.must(v.bus.Ensure(v.Context()))
		v.stopService = v.service()
		v.wait(2 * time.Second)
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "503 rollout story is lost: ") || !strings.Contains(ready, bus.ErrLogRegressed.Error()) {
			t.Errorf("ready: %s", ready)
		}
		if reply := v.ask("rollback", false); reply.Failed == "" {
			t.Errorf("a rollback is answered with %+v", reply)
		}
		advice := strings.NewReplacer("name: story", "name: second", "model: ranker", "model: other\n  mode: advise").Replace(storyHead + errorsMore + atOnce)
		v.apply("second", strings.Replace(advice, "  acks: {routers: [router-a], within: 10s}\n", "", 1))
		v.untilOf("second", "the other model is judged", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning })
		if reply := v.ask("retry", true); reply.Decision != "story.2.1" { // as it is told to
			t.Errorf("a retry is answered with %+v", reply)
		}
	})
}

// TestTrustKept: another signing key leaves the one before it among the trusted keys, and the same one changes nothing.
func TestTrustKept(t *testing.T) {
	config := &schemas.Config{Data: t.TempDir()}
	var want []string
	for range 2 {
		key, err := signingKey(config)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, key.TrustLine()+"\n")
		for range 2 {
			path, trust, err := writeTrust(config, key)
			text, _ := os.ReadFile(path)
			if err != nil || string(text) != strings.Join(want, "") || len(trust.IDs()) != len(want) {
				t.Errorf("%s holds %q, of which %v are trusted (%v), want %q", path, text, trust.IDs(), err, want)
			}
		}
		if err := os.Remove(keyFile(config)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(trustFile(config), []byte("garbage\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := signingKey(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := writeTrust(config, key); err == nil || !strings.Contains(err.Error(), "trust.txt:1") {
		t.Errorf("error %v of a file that is no trust file", err)
	}
}

// TestStrangersAreNoticed: what somebody else writes among the decisions is told within seconds, though nothing is decided meanwhile; garbage is logged once, as what it is, however many sinks
// there are.
func TestStrangersAreNoticed(t *testing.T) {
	inVillage(t, strings.Replace(rolloutWith(atOnce+outsideToo), "[router-a]", "[router-a, gateway]", 1), sinksOutside, func(v *village) {
		v.status(decisions.StatusRunning)
		v.writes("hello", false)
		v.writes("hello again", false)
		v.wait(3 * time.Second)
		if told := v.notices(schemas.NoticeForeignDecision); len(told) != 1 {
			t.Errorf("told %d times: %+v", len(told), told)
		}
		for _, want := range []string{`streamcanary_foreign_decisions_total{model="ranker"} 2`, `streamcanary_notices_total{kind="foreign-decision",model="ranker",rollout="story"} 1`} {
			if metrics := v.page("/metrics"); !strings.Contains(metrics, want) {
				t.Errorf("%s is not counted: %s", want, metrics)
			}
		}
	})
}

// TestStrangersAreOver: what was told of strangers is over when nobody has written for an hour, also after a restart and where the rollout has ended; who writes then is told anew.
func TestStrangersAreOver(t *testing.T) {
	inVillage(t, rolloutWith(atOnce+pagers), sinksOutside, func(v *village) {
		v.status(decisions.StatusRunning)
		v.ask("rollback", false)
		v.completed()
		v.requests.Store(0)
		told := func(strangers, over int, page string) {
			v.Helper()
			pages, _, _ := strings.Cut(v.outside.told(), "\n\nslack")
			pages = pages[:strings.LastIndexByte(pages, '\n')] // at last the warning's own incident ends, which a critical one replaces
			if !strings.HasSuffix(pages, page) {
				v.Errorf("want %s at last: %s", page, pages)
			}
			if a, b := v.notices(schemas.NoticeForeignDecision), v.notices(schemas.NoticeForeignOver); len(a) != strangers || len(b) != over {
				v.Errorf("told of strangers %d times, want %d, and of their end %d, want %d: %+v", len(a), strangers, len(b), over, b)
			}
		}
		v.must(v.routes().Delete(v.Context(), "ranker"))
		v.wait(20 * time.Second)
		v.restart()
		v.wait(strangersQuiet - time.Minute)
		told(1, 0, "trigger streamcanary/story critical")
		v.wait(2 * time.Minute)
		told(1, 1, "resolve streamcanary/story")
		v.must(v.routes().Delete(v.Context(), "ranker"))
		v.wait(20 * time.Second)
		told(2, 1, "trigger streamcanary/story critical")
	})
}

// TestStrangersForgotten: after the end people are told anew of a model's strangers, and of no other's.
func TestStrangersForgotten(t *testing.T) {
	s := newStrangers(zerolog.Nop(), newMetrics("test"))
	write := func(model string, sequence uint64) {
		s.hear(bus.Foreign{Model: model, Place: "streamcanary.decision." + model, Sequence: sequence, At: time.Now(), Why: errors.New("no JSON")})
	}
	write("a", 1)
	write("b", 1)
	s.forget("a") // it isn't told yet
	if len(s.told) != 2 {
		t.Errorf("%v", s.told)
	}
	s.over("streamcanary.decision.a")
	s.over("streamcanary.decision.b")
	s.forget("a")
	write("a", 2)
	write("b", 2)
	if next := s.next(); len(next) != 1 || next["streamcanary.decision.a"].Sequence != 2 || s.last("a").IsZero() || !s.last("c").IsZero() {
		t.Errorf("%v", next)
	}
}

// TestGarbageHidesNoForgery: what has the form of a decision is told also where garbage was, a moment before; each once an hour.
func TestGarbageHidesNoForgery(t *testing.T) {
	inVillage(t, rolloutWith(atOnce), "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.writes("hello", false)
		v.wait(5 * time.Second)
		v.writes(v.body("story.1.2", `"action":"start"`, `"action":"rollback"`), false)
		v.wait(5 * time.Second)
		v.writes(v.body("story.1.1"), true)
		v.writes("hello again", false)
		v.wait(5 * time.Second)
		told := v.notices(schemas.NoticeForeignDecision)
		if len(told) != 2 || !strings.Contains(told[0].Sentence, "no JSON object") || !strings.Contains(told[1].Sentence, "it is not signed") {
			t.Errorf("told %d times: %+v", len(told), told)
		}
	})
}

// TestStrangersThatGoOn: who goes on writing in a place is told again, once an hour.
func TestStrangersThatGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStrangers(zerolog.Nop(), newMetrics("test"))
		told := 0
		for sequence := range uint64(30) { // five hours
			s.hear(bus.Foreign{Model: "a", Place: "$KV.streamcanary-routes.a", Sequence: sequence + 1, At: time.Now(), Why: errors.New("no JSON"), Route: true})
			told += len(s.next())
			s.over("$KV.streamcanary-routes.a")
			time.Sleep(10 * time.Minute)
		}
		if told != 5 {
			t.Errorf("told %d times in five hours, want 5", told)
		}
	})
}

// TestStrangersAreBounded: whoever makes up models makes nothing grow.
func TestStrangersAreBounded(t *testing.T) {
	var log bytes.Buffer
	s := newStrangers(zerolog.New(&log), newMetrics("test"))
	for i := range 3 * mostPlaces {
		s.hear(bus.Foreign{Model: fmt.Sprint("m", i), Place: fmt.Sprint("streamcanary.decision.m", i), Sequence: uint64(i + 1), At: time.Now(), Why: errors.New("no JSON")})
	}
	if len(s.upTo) != mostPlaces+1 || len(s.told) != mostPlaces+1 || len(s.next()) != mostPlaces+1 {
		t.Errorf("%d places, %d models told, %d untold", len(s.upTo), len(s.told), len(s.next()))
	}
}

// TestOlderFilesHideNoForgery: older files of many rollouts that come back with a backup are told each, and take no place of what others write.
func TestOlderFilesHideNoForgery(t *testing.T) {
	s := newStrangers(zerolog.Nop(), newMetrics("test"))
	now := time.Now()
	for i := range mostPlaces + 1 {
		s.hear(bus.Foreign{Model: fmt.Sprint("m", i), Place: fmt.Sprint(recordsPlace, ", file of rollout r", i), Sequence: uint64(now.UnixMilli()), At: now, Why: errors.New("older"), Gone: true, Older: true})
	}
	if told := len(s.next()); told != mostPlaces+1 {
		t.Errorf("%d are told", told)
	}
	const place = "streamcanary.decision.new"
	s.hear(bus.Foreign{Model: "new", Place: place, Sequence: 1, At: now, Why: errors.New("no key"), Forged: true})
	if f, is := s.next()[place+", decisions"]; !is || f.Model != "new" {
		t.Errorf("a forged decision of another model is told as %+v", f)
	}
}

// TestLostAndChronic: that a model is rolled back again and again stands until its next rollout; what ended the loss of one is told all the same, and what stands is named.
func TestLostAndChronic(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce+often, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.ask("rollback", false)
		v.completed()
		v.apply("story", storyHead+errorsMore+atOnce+often, func(a *Application) { a.Retry = true })
		v.until("a second epoch", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusRunning })
		v.wait(5 * time.Second)
		v.writes(v.body("story.2.2", `"seq":2`, `"seq":3`, "story.2.2", "story.2.3"), true)
		v.ask("rollback", false)
		v.ask("retry", true)
		v.until("a third epoch", func(s *decisions.State) bool { return s.Epoch == 3 && s.Status == decisions.StatusRunning })
		v.ask("rollback", false)
		v.completed()
		v.wait(foundAfter + 2*time.Second)
		told := v.notices(schemas.NoticeRolloutFound)
		if len(told) != 1 || !slices.Equal(told[0].Waiting, []string{"chronic"}) {
			t.Errorf("told %d times that it isn't lost: %+v", len(told), told)
		}
	})
}
