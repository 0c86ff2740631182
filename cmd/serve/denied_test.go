package serve

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// announces lets an operator hand in the rollout's file, which the village has written already.
func (v *village) announces() {
	v.Helper()
	there, err := v.bus.Spec(v.Context(), "story")
	v.must(err)
	sum := sha256.Sum256(there.Body)
	_, err = v.bus.Ask(v.Context(), "story", &schemas.Command{ID: "announced", Do: "apply", Comment: "x", Sum: hex.EncodeToString(sum[:])}, "Bearer operator-token-1234")
	v.must(err)
	there, err = v.bus.Spec(v.Context(), "story")
	v.must(err)
	_, err = v.bus.PutSpec(v.Context(), there)
	v.must(err)
}

// TestDeniedIsTold: what a person wanted whose role doesn't allow it stands on the event stream with their name, once a minute; what somebody wanted whom nobody knows doesn't.
func TestDeniedIsTold(t *testing.T) {
	folder := t.TempDir()
	put(t, folder, "tokens", doorTokens)
	inVillage(t, rolloutWith(atOnce), "http: {listen: \"127.0.0.1:0\", tokensFile: "+filepath.Join(folder, "tokens")+"}\n", func(v *village) {
		v.announces()
		v.status(decisions.StatusRunning)
		asks := 0
		ask := func(do, token string) {
			v.Helper()
			asks++
			reply, err := v.bus.Ask(v.Context(), "story", &schemas.Command{ID: fmt.Sprint("denied-", asks), Do: do, By: "somebody", Comment: "x"}, token)
			v.must(err)
			if reply.Denied == "" {
				v.Errorf("%s with %q is answered %+v", do, token, reply)
			}
		}
		for _, token := range []string{"", "Bearer stranger-token-123"} {
			ask("rollback", token)
		}
		for range 5 {
			ask("rollback", "Bearer viewer-token-12345")
		}
		ask("pause", "Bearer viewer-token-12345")
		v.wait(time.Second)
		told := v.notices(schemas.NoticeCommandRefused)
		if len(told) != 2 || !strings.HasPrefix(told[0].Sentence, "Command rollback of rollout story is denied: ") || !strings.Contains(told[0].Sentence, "vic is a viewer: rollback takes an operator") || told[0].Rollout != "story" ||
			told[0].Actor == nil || *told[0].Actor != (schemas.Actor{Kind: "person", Name: "vic", Comment: "x"}) {
			t.Errorf("told %d times: %+v", len(told), told)
		}
		v.wait(deniedEvery)
		ask("rollback", "Bearer viewer-token-12345")
		v.wait(time.Second)
		if told := v.notices(schemas.NoticeCommandRefused); len(told) != 3 || !strings.Contains(told[2].Sentence, " it was asked for 4 times more, at last at ") {
			t.Errorf("told %d times after a minute: %+v", len(told), told)
		}
		v.knocksAtTheDoors()
	})
}

// TestDeniedOverride: an operator who may not go past what speaks against a command hears whether the same would be done without that.
func TestDeniedOverride(t *testing.T) {
	folder := t.TempDir()
	put(t, folder, "tokens", doorTokens)
	inVillage(t, rolloutWith(atOnce), "http: {listen: \"127.0.0.1:0\", tokensFile: "+filepath.Join(folder, "tokens")+"}\n", func(v *village) {
		v.announces()
		v.status(decisions.StatusRunning)
		for _, test := range []struct{ rollout, do, want string }{
			{"story", "rollback", ": override takes an admin: ask one, or leave it out: nothing speaks against it now"},
			{"story", "delete", ": override takes an admin: ask one, or leave it out: nothing speaks against it now"},
			{"story", "resume", ": override takes an admin: ask one; without it, it is refused, too: the rollout doesn't hold"},
			{"story", "retry", ": override takes an admin: ask one; without it, it is refused, too: epoch 1 is running, and a new one would forget what it has shown: `rollout rollback story"},
			{"story", "apply", ": override takes an admin: ask one; without it, it is done only where nothing speaks against it"},
			{"other", "promote", ": override takes an admin: ask one; without it, it is done only where nothing speaks against it"},
		} {
			x := schemas.Command{ID: test.do, Do: test.do, By: "somebody", Comment: "x", Override: true}
			if x.HandsIn() {
				x.Sum = strings.Repeat("a", 64)
			}
			reply, err := v.bus.Ask(v.Context(), test.rollout, &x, "Bearer operator-token-1234")
			v.must(err)
			if !strings.Contains(reply.Denied, " is an operator"+test.want) {
				v.Errorf("%s %s is answered %+v, want %s", test.do, test.rollout, reply, test.want)
			}
		}
	})
}

// knocksAtTheDoors lets a viewer command over HTTP, and send what is no command over both: that is told likewise.
func (v *village) knocksAtTheDoors() {
	v.Helper()
	before := len(v.notices(schemas.NoticeCommandRefused))
	client := http.Client{Transport: &http.Transport{DialContext: v.network.DialContext, DisableKeepAlives: true}}
	for _, body := range []string{`{"id":"1","do":"resume","comment":"by HTTP"}`, `{"id":"1","do":"resume","comment":"by HTTP"}`, "hello"} {
		r, err := http.NewRequestWithContext(v.Context(), http.MethodPost, "http://127.0.0.1:8088/v1/rollouts/story/commands", strings.NewReader(body))
		v.must(err)
		r.Header.Set("Authorization", "Bearer viewer-token-12345")
		r.Header.Set("Content-Type", "application/json")
		answer, err := client.Do(r)
		v.must(err)
		v.must(answer.Body.Close())
		if answer.StatusCode != http.StatusForbidden {
			v.Errorf("%s is answered %d", body, answer.StatusCode)
		}
	}
	m := nats.NewMsg("streamcanary.command.story")
	m.Data = []byte("hello")
	m.Header.Set("Authorization", "Bearer viewer-token-12345")
	_, err := v.conn().RequestMsgWithContext(v.Context(), m) // one with a timeout takes its timer from a pool of all tests, and that may be another bubble's
	v.must(err)
	v.wait(time.Second)
	told := v.notices(schemas.NoticeCommandRefused)[before:]
	if len(told) != 2 || !strings.HasPrefix(told[0].Sentence, "Command resume of rollout story is denied: vic is a viewer: resume takes an operator") || told[0].Actor == nil || told[0].Actor.Comment != "by HTTP" ||
		!strings.HasPrefix(told[1].Sentence, "A command of rollout story is denied: vic is a viewer: a command takes an operator") || told[1].Actor == nil || told[1].Actor.Name != "vic" {
		v.Errorf("told at the doors %d times: %+v", len(told), told)
	}
}

// TestMalformedIsDeniedFirst: whoever may not command hears that, and not what is wrong with what they sent; whoever may hears what it is.
func TestMalformedIsDeniedFirst(t *testing.T) {
	folder := t.TempDir()
	put(t, folder, "tokens", doorTokens)
	inVillage(t, rolloutWith(atOnce), "http: {listen: \"127.0.0.1:0\", tokensFile: "+filepath.Join(folder, "tokens")+"}\n", func(v *village) {
		conn := v.conn()
		for _, test := range []struct{ subject, text, token, want string }{
			{"streamcanary.command.story", "hello", "", `"denied":"a token is needed`},
			{"streamcanary.command.story", "hello", "Bearer stranger-token-123", `"denied":"the token is not one of those`},
			{"streamcanary.command.story", `{"do":"explode"}`, "Bearer viewer-token-12345", `"denied":"vic is a viewer: a command takes an operator`},
			{"streamcanary.command.story", "hello", "Bearer operator-token-1234", `"refused":"decode command: `},
			{"streamcanary.command.=ZZ", "hello", "", `"denied":"a token is needed`},
			{"streamcanary.command.=ZZ", "hello", "Bearer operator-token-1234", `"refused":"the subject names no rollout`},
		} {
			m := nats.NewMsg(test.subject)
			m.Data = []byte(test.text)
			if test.token != "" {
				m.Header.Set("Authorization", test.token)
			}
			answer, err := conn.RequestMsgWithContext(v.Context(), m)
			v.must(err)
			if !strings.Contains(string(answer.Data), test.want) {
				t.Errorf("%q to %s with %q is answered %s, want %s", test.text, test.subject, test.token, answer.Data, test.want)
			}
		}
		if metrics := v.page("/metrics"); !strings.Contains(metrics, "streamcanary_commands_denied_total 4\n") {
			t.Error("not counted")
		}
	})
}

// TestRefusedIsTold: what can't be done as things stand is told with who wanted it, once a minute for each person and reason; every one of them is answered, and counted.
func TestRefusedIsTold(t *testing.T) {
	inVillage(t, rolloutWith(atOnce), "", func(v *village) {
		v.status(decisions.StatusRunning)
		tries := func(n int) {
			v.Helper()
			for range n {
				if reply := v.ask("resume", false); reply.Refused != "the rollout doesn't hold" {
					v.Errorf("answered %+v", reply)
				}
				v.wait(100 * time.Millisecond)
			}
		}
		tries(20)
		told := v.notices(schemas.NoticeCommandRefused)
		if len(told) != 1 || told[0].Actor == nil || *told[0].Actor != (schemas.Actor{Kind: "person", Name: "ada", Comment: "the story wants it"}) {
			t.Errorf("told %d times: %+v", len(told), told)
		}
		v.wait(decisions.RefusedEvery)
		tries(1)
		if told := v.notices(schemas.NoticeCommandRefused); len(told) != 2 || !strings.Contains(told[1].Sentence, "and not told 19 times, at last at ") {
			t.Errorf("told %d times after a minute: %+v", len(told), told)
		}
		if metrics := v.page("/metrics"); !strings.Contains(metrics, "streamcanary_commands_refused_total 21\n") {
			t.Error("not counted")
		}
	})
}

// TestKnocksAreBounded: whom there are too many of is only counted; what was told long ago makes room.
func TestKnocksAreBounded(t *testing.T) {
	c, now := &court{}, time.Unix(0, 0)
	for i := range mostKnocks + 5 {
		if _, due := c.heardBefore(knock{who: fmt.Sprint(i)}, now); due != (i < mostKnocks) {
			t.Fatalf("%d is told: %v", i, due)
		}
	}
	if _, due := c.heardBefore(knock{who: "late"}, now.Add(deniedEvery)); !due || len(c.knocks) != 1 {
		t.Errorf("a minute later it is told: %v, and %d are kept", due, len(c.knocks))
	}
}
