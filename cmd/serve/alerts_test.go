package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// recordedAlerts is a message as Alertmanager 0.28 has sent it.
func recordedAlerts(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "schemas", "testdata", "alertmanager", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// aDoor is the HTTP side alone: what the court answers is the test's.
func aDoor(t *testing.T, tokens string, court func(*schemas.Alerts) heeded) *endpoints {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "tokens", tokens)
	people, err := peopleOf(&schemas.HTTP{Listen: "127.0.0.1:1", TokensFile: filepath.Join(dir, "tokens")})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	e := newEndpoints(l, newMetrics("test"), &board{})
	e.people, e.tell = people, func(_ context.Context, a *schemas.Alerts) heeded { return court(a) }
	return e
}

const doorTokens = "alerter am alerter-token-1234\nviewer vic viewer-token-12345\noperator ada operator-token-1234\n"

// TestAlertmanagerEndpoint: Alertmanager sends again what is answered with 5xx, and nothing else.
func TestAlertmanagerEndpoint(t *testing.T) {
	message := recordedAlerts(t, "mixed")
	kept := func(a *schemas.Alerts) heeded {
		return heeded{Alerts: len(a.All), Kept: 2, Rollouts: []string{"ranker-42"}}
	}
	unkept := func(*schemas.Alerts) heeded { return heeded{err: errors.New("the journal is away")} }
	tests := []struct {
		name, token, kind, body string
		court                   func(*schemas.Alerts) heeded
		status                  int
		want                    string
	}{
		{"kept", "Bearer alerter-token-1234", "application/json", message, kept, 200, `{"alerts":4,"kept":2,"rollouts":["ranker-42"]}`},
		{"an operator may", "Bearer operator-token-1234", "application/json; charset=utf-8", message, kept, 200, `{"alerts":4,`},
		{"not kept: it comes again", "Bearer alerter-token-1234", "application/json", message, unkept, 503, "the journal is away"},
		{"nobody", "", "application/json", message, kept, 401, "a token is needed: in http_config of Alertmanager's webhook_configs, authorization: {credentials_file: FILE} is to have"},
		{"a stranger", "Bearer stranger-token-123", "application/json", message, kept, 401, "the token is not one of those in http.tokensFile, as it was when serve started: in http_config"},
		{"a viewer", "Bearer viewer-token-12345", "application/json", message, kept, 403, "vic is a viewer: alerts take an alerter, or an operator"},
		{"a page of another site", "Bearer alerter-token-1234", "text/plain", message, kept, 415, "application/json"},
		{"no JSON", "Bearer alerter-token-1234", "application/json", "{", kept, 400, "decode alerts: unexpected end"},
		{"another system's", "Bearer alerter-token-1234", "application/json", strings.Replace(message, `"version":"4"`, `"version":"1"`, 1), kept, 400, `version is "1"`},
		{"too much", "Bearer alerter-token-1234", "application/json", strings.Repeat(" ", schemas.MaxAlertsBytes+1), kept, 413, "set max_alerts"},
		{"too much, and no JSON", "Bearer alerter-token-1234", "application/json", strings.Repeat("x", 20<<20), kept, 413, "4194304 are allowed: set max_alerts in webhook_configs"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := aDoor(t, doorTokens, test.court)
			r := httptest.NewRequest(http.MethodPost, alertsPath, strings.NewReader(test.body))
			r.Header.Set("Content-Type", test.kind)
			if test.token != "" {
				r.Header.Set("Authorization", test.token)
			}
			w := httptest.NewRecorder()
			e.server.Handler.ServeHTTP(w, r)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) || strings.Contains(w.Body.String(), "--token-file") {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, test.status, test.want)
			}
			if again := w.Header().Get("Retry-After"); (again == "10") != (test.status == http.StatusServiceUnavailable) {
				t.Errorf("%d, Retry-After %q", w.Code, again)
			}
			if asks := strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer"); asks != (test.status == http.StatusUnauthorized) {
				t.Errorf("%d, WWW-Authenticate %q", w.Code, w.Header().Get("WWW-Authenticate"))
			}
		})
	}
}

// TestAnAlerterCommandsNothing: Alertmanager's token is good for alerts alone.
func TestAnAlerterCommandsNothing(t *testing.T) {
	e := aDoor(t, doorTokens, nil)
	who, err := e.people.who("Bearer alerter-token-1234", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := who.may(&schemas.Command{Do: "pause"}); err == nil || !strings.HasPrefix(err.Error(), "am is an alerter: pause takes an operator: ") {
		t.Errorf("got %v, want it denied", err)
	}
}

func TestAlertsFromElsewhereNeedTokens(t *testing.T) {
	e := aDoor(t, doorTokens, nil)
	e.people = &people{}
	w := httptest.NewRecorder()
	e.server.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, alertsPath, nil))
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "set http.tokensFile") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestRumours(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	alert := func(name string, starts, ends int64) *schemas.Alert {
		return &schemas.Alert{Fingerprint: name, StartsAt: schemas.Time(starts), EndsAt: schemas.Time(ends), Resolved: ends > 0}
	}
	names := func(r rumours, now time.Time) (out []string) {
		for _, a := range r.firing(now) {
			out = append(out, a.Fingerprint)
		}
		return out
	}
	r := rumours{}
	for _, a := range []*schemas.Alert{alert("b", 5, 0), alert("a", 5, 0), alert("c", 5, 0), alert("c", 5, 7), alert("a", 1, 3), alert("z", 1, 3)} {
		r.hear(a, at, at)
	}
	if got := names(r, at); !reflect.DeepEqual(got, []string{"a", "b"}) {
		t.Errorf("%v fire: c is over, and what ended was an earlier a", got)
	}
	ahead := alert("ahead", at.Add(time.Minute).UnixMilli(), 0)
	r.hear(ahead, at, at.Add(time.Hour))
	if r.heardMs(ahead) != at.UnixMilli() || r.heardMs(alert("b", 5, 0)) != 0 || r.heardMs(alert("ahead", 7, 0)) != 0 || r.heardMs(alert("unheard", 7, 0)) != 0 {
		t.Error("only what starts ahead of when it was told first counts from there")
	}
	delete(r, "ahead")
	r.hear(alert("b", 5, 0), at, at.Add(time.Hour))
	if got := names(r, at.Add(rumoursFor+time.Minute)); !reflect.DeepEqual(got, []string{"b"}) {
		t.Errorf("%v fire: a was not told again", got)
	}
	for i := range maxRumours {
		r.hear(alert(fmt.Sprint(i), 5, 0), at, at.Add(2*time.Hour))
	}
	if _, known := r["b"]; known || len(r) != maxRumours {
		t.Errorf("%d are known, b among them: %t; want the oldest forgotten", len(r), known)
	}
}

// TestRumoursAfterARestart: what the journal says that an epoch was told, the process that folds it knows as the one that was told did.
func TestRumoursAfterARestart(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	told := func(after time.Duration, name string, starts, ends int64) decisions.Input {
		a := &schemas.Alert{Fingerprint: name, StartsAt: schemas.Time(starts), EndsAt: schemas.Time(ends), Resolved: ends > 0, Labels: map[string]string{"alertname": name}}
		return decisions.Input{Kind: decisions.InputAlert, WallMs: at.Add(after).UnixMilli(), Alert: a}
	}
	cut := func(group string, missing int64) decisions.Input {
		return decisions.Input{Kind: decisions.InputRuling, WallMs: at.UnixMilli(), Ruling: &decisions.Ruling{Kind: decisions.RulingTruncated, Group: group, Missing: missing}}
	}
	ahead := told(time.Minute, "ahead", at.Add(time.Hour).UnixMilli(), 0)
	ahead.HeardMs = at.UnixMilli()
	c := &court{rumours: rumours{}, truncations: truncations{}}
	live := told(time.Hour, "live", 9, 0)
	c.rumours.hear(live.Alert, at.Add(time.Hour), at.Add(time.Hour))
	for _, in := range []decisions.Input{told(0, "page", 5, 0), told(0, "over", 5, 0), told(time.Minute, "over", 5, 7), ahead, told(0, "live", 5, 7), cut("a", 2), cut("b", 3), cut("b", 0)} {
		c.overheard(&in)
	}
	var names []string
	for _, a := range c.rumours.firing(at.Add(time.Hour)) {
		names = append(names, a.Fingerprint)
	}
	if !reflect.DeepEqual(names, []string{"ahead", "live", "page"}) {
		t.Errorf("%v fire: over is, and live was told since", names)
	}
	if got := c.rumours.heardMs(ahead.Alert); got != at.UnixMilli() {
		t.Errorf("what starts ahead was heard at %d", got)
	}
	if got := c.truncations.lasting(at); !reflect.DeepEqual(got, []string{"a"}) {
		t.Errorf("%v lack alerts: b is whole again", got)
	}
	if left := c.rumours.firing(at.Add(rumoursFor + 2*time.Minute)); len(left) != 1 {
		t.Errorf("%d fire: a restart makes nothing younger", len(left))
	}
}

func TestTruncations(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	cut := func(group string, missing int64) *schemas.Alerts {
		return &schemas.Alerts{Group: group, Truncated: missing}
	}
	x := truncations{}
	x.hear(cut("b", 3), at)
	x.hear(cut("a", 2), at)
	x.hear(cut("c", 1), at)
	x.hear(cut("c", 0), at)
	x.hear(cut("b", 4), at.Add(time.Hour))
	if got := x.lasting(at.Add(time.Hour)); !reflect.DeepEqual(got, []string{"a", "b"}) || x["b"].missing != 4 {
		t.Errorf("%v lack alerts, b %d: c is whole again", got, x["b"].missing)
	}
	if got := x.lasting(at.Add(rumoursFor + time.Minute)); !reflect.DeepEqual(got, []string{"b"}) {
		t.Errorf("%v lack alerts: a was not told again", got)
	}
	for i := range maxTruncations {
		x.hear(cut(fmt.Sprint(i), 5), at.Add(2*time.Hour))
	}
	if _, known := x["b"]; known || len(x) != maxTruncations {
		t.Errorf("%d are known, b among them: %t; want the oldest forgotten", len(x), known)
	}
}

// alertsOf are guardrails from outside, beside one of errors.
const alertsOf = `  guardrails:
    - {name: errors, rate: error, increase: 10pp}
    - {name: page, external: alertmanager, match: {severity: page}, staleAfter: 2m}
    - {name: busy, external: alertmanager, match: ['severity=~"busy|warm"'], for: 30s, staleAfter: 2m, on: hold}
`

// slowerOrTold are guardrails of the latency, of errors, and from outside.
const slowerOrTold = `  guardrails:
    - {name: slow, quantile: 0.5, of: latency, increase: 50%}
    - {name: errors, rate: error, increase: 10pp}
    - {name: page, external: alertmanager, match: {severity: page}, staleAfter: 2m}
`

// alerts tells the service of an alert, as Alertmanager does.
func (v *village) alerts(status, severity string, starts time.Time, more ...string) {
	v.Helper()
	if code, answer := v.post(status, severity, starts, more...); code != http.StatusOK {
		v.Errorf("%d: %s", code, answer)
	}
	v.wait(time.Second)
}

func (v *village) post(status, severity string, starts time.Time, more ...string) (code int, answer string) {
	v.Helper()
	return v.postTo("127.0.0.1:8088", status, severity, starts, more...)
}

func (v *village) postTo(address, status, severity string, starts time.Time, more ...string) (code int, answer string) {
	v.Helper()
	ends := "0001-01-01T00:00:00Z"
	if status == "resolved" {
		ends = time.Now().UTC().Format(time.RFC3339Nano)
	}
	body := fmt.Sprintf(`{"version":"4","receiver":"streamcanary","status":%q,"truncatedAlerts":%[6]d,"groupKey":"{}:{}","alerts":[{"status":%[1]q,"labels":{"alertname":"High%s","severity":%[2]q%s},`+
		`"annotations":{"summary":"Users see errors"},"startsAt":%q,"endsAt":%q,"generatorURL":"http://prometheus/graph","fingerprint":"f-%[2]s"}]}`,
		status, severity, strings.Join(more, ""), starts.UTC().Format(time.RFC3339Nano), ends, v.leftOut)
	client := http.Client{Transport: &http.Transport{DialContext: v.network.DialContext, DisableKeepAlives: true}}
	response, err := client.Post("http://"+address+alertsPath, "application/json", strings.NewReader(body))
	v.must(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	v.must(err)
	return response.StatusCode, string(text)
}

// TestAlertsOfTheOneBefore: who takes a rollout over knows the alerts that the one before was told of, for the epochs that it begins.
func TestAlertsOfTheOneBefore(t *testing.T) {
	inVillage(t, rolloutWith(atOnce+alertsOf), "", func(v *village) {
		v.status(decisions.StatusRunning)
		stop := v.other("new", "127.0.0.1:8089") // it decides from here on
		v.wait(10*time.Second + 130*time.Millisecond)
		if code, answer := v.postTo("127.0.0.1:8089", "firing", "page", v.began.Add(-10*time.Minute)); code != http.StatusOK {
			t.Fatalf("%d: %s", code, answer)
		}
		v.status(decisions.StatusHolding)
		v.wait(5 * time.Second)
		stop()
		v.wait(10*time.Second + 130*time.Millisecond)
		v.ask("retry", true)
		v.until("the new epoch holds", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusHolding })
	})
}

// TestAlertsThatAreNotKept: Alertmanager hears that it must send an alert again, and what is sent again does its work.
func TestAlertsThatAreNotKept(t *testing.T) {
	inVillage(t, rolloutWith("  stages: [{weight: 10, bake: 10m, max: 1h}]\n"+alertsOf), "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(10 * time.Second)
		refused := v.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: JournalTopic, Err: kerr.TopicAuthorizationFailed, Count: -1})
		fires := time.Now()
		if code, answer := v.post("firing", "page", fires); code != http.StatusServiceUnavailable || !strings.Contains(answer, "the window journal takes nothing now") {
			v.Errorf("%d: %s, want 503", code, answer)
		}
		v.wait(5 * time.Second)
		refused.Remove()
		v.wait(time.Minute)
		silent := v.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: JournalTopic, Err: kerr.NotLeaderForPartition, Count: -1})
		const unknown = "it isn't known whether the alerts are kept, after 20s: send them again, that changes nothing"
		if code, answer := v.post("firing", "page", fires); code != http.StatusServiceUnavailable || !strings.HasPrefix(answer, unknown) {
			v.Errorf("%d: %s, want 503", code, answer)
		}
		v.wait(time.Minute)
		if code, answer := v.post("firing", "page", fires); code != http.StatusServiceUnavailable || !strings.Contains(answer, ". Kafka, in which alerts are kept: what was counted is not stored") {
			v.Errorf("%d: %s, want 503 with what is wrong", code, answer)
		}
		silent.Remove()
		v.wait(40 * time.Second)
		v.alerts("firing", "page", fires)
		v.completed()
		v.honest()
	})
}

// TestAlertsBeforeTheServiceRuns: nobody takes them by then, and they come again.
func TestAlertsBeforeTheServiceRuns(t *testing.T) {
	c := &court{told: make(chan alertMessage)}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if came := c.hearAlerts(ctx, &schemas.Alerts{}); came.err == nil || !strings.Contains(came.err.Error(), "send it again") {
		t.Errorf("got %v", came.err)
	}
}

// TestStoriesOfAlerts: what Alertmanager tells of rolls back, holds, and is over again.
func TestStoriesOfAlerts(t *testing.T) {
	tell(t, map[string]tale{
		"an-alert-from-outside": {atOnce + alertsOf, func(v *village) {
			v.status(decisions.StatusRunning)
			v.wait(20 * time.Second)
			v.alerts("firing", "page", time.Now(), `,"model":"other"`)
			v.alerts("firing", "page", time.Now(), `,"version":"v1"`)
			v.alerts("firing", "page", time.Now(), `,"model":"ranker","version":"v2"`)
			v.alerts("firing", "page", time.Now())
			v.completed()
		}},
		"an-alert-from-before": {atOnce + alertsOf, func(v *village) {
			v.status(decisions.StatusRunning)
			fires := v.began.Add(-10 * time.Minute)
			v.alerts("firing", "page", fires)
			v.wait(time.Minute)
			v.alerts("firing", "page", fires) // as Alertmanager repeats it, twice where there are two of it
			v.alerts("firing", "page", fires)
			v.restart()
			v.wait(time.Minute)
			v.refused("promote", false, "alert Highpage (guardrail page) fires; `streamcanary rollout promote story --override --comment WHY` goes past it")
			v.alerts("resolved", "page", fires)
			v.status(decisions.StatusPromoted)
		}},
		"an-alert-from-before-and-a-new-epoch": {atOnce + alertsOf, func(v *village) {
			v.status(decisions.StatusRunning)
			v.alerts("firing", "page", v.began.Add(-10*time.Minute))
			v.status(decisions.StatusHolding)
			v.restart() // Alertmanager repeats it in four hours
			v.wait(10 * time.Second)
			v.ask("retry", true)
			v.until("the new epoch holds", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusHolding })
			v.wait(10 * time.Second)
		}},
		"an-alert-whose-end-is-lost": {atOnce + alertsOf, func(v *village) {
			v.status(decisions.StatusRunning)
			fires := time.Now()
			v.alerts("firing", "busy", fires)
			v.wait(10 * time.Second)
			v.alerts("resolved", "busy", fires) // before its time
			v.alerts("firing", "busy", time.Now())
			v.status(decisions.StatusHolding)
			v.status(decisions.StatusPromoted)
		}},
		"an-alert-ahead-of-our-clock": {atOnce + alertsOf, func(v *village) {
			v.status(decisions.StatusRunning)
			v.wait(10 * time.Second)
			fires := time.Now().Add(45 * time.Second) // Alertmanager's clock
			v.alerts("firing", "page", fires)
			v.completed()
			v.restart()
			v.wait(time.Until(fires) + 3*time.Second)
			v.alerts("firing", "page", fires) // as it is repeated, to nobody now
			v.apply("story", rolloutWith(atOnce+alertsOf), func(a *Application) { a.Retry = true })
			v.until("the second epoch holds", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusHolding })
		}},
		"once-more-while-it-fires": {atOnce + alertsOf, func(v *village) {
			v.status(decisions.StatusRunning)
			v.wait(10 * time.Second)
			fires := time.Now()
			v.alerts("firing", "page", fires)
			v.completed()
			v.apply("story", rolloutWith(atOnce+alertsOf), func(a *Application) { a.Retry = true })
			v.until("the second epoch holds", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusHolding })
			v.wait(20 * time.Second)
			v.ask("resume", false)
			v.until("the second epoch is promoted", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusPromoted })
		}},
	})
}

// TestStoriesOfAlertsAtOddTimes: one comes when the rollback is decided by then, others are left out of a message, and one lasts longer than its stage may take.
func TestStoriesOfAlertsAtOddTimes(t *testing.T) {
	const soon = "  stages: [{weight: 10, bake: 10s, max: 40s, then: rollback}]\n"
	tell(t, map[string]tale{
		"an-alert-that-outlasts-the-stage": {soon + alertsOf, func(v *village) {
			v.status(decisions.StatusRunning)
			fires := v.began.Add(-10 * time.Minute)
			v.alerts("firing", "page", fires)
			v.wait(time.Minute)
			v.alerts("resolved", "page", fires)
			v.status(decisions.StatusPromoted)
		}},
		"an-alert-on-the-way-back": {slowerOrTold + neverWarm + fewFirst, func(v *village) {
			v.slows()
			v.until("traffic goes back by steps", func(s *decisions.State) bool { return s.Returning() })
			v.wait(10 * time.Second)
			if _, answer := v.post("firing", "page", time.Now()); !strings.Contains(answer, `"kept":1`) {
				v.Errorf("%s, want it kept", answer)
			}
			v.completed()
			if _, answer := v.post("firing", "page", time.Now()); !strings.Contains(answer, `"kept":0`) {
				v.Errorf("%s: all has gone back, and it is kept", answer)
			}
		}},
		"alerts-that-are-left-out": {atOnce + alertsOf, func(v *village) {
			v.status(decisions.StatusRunning)
			v.wait(10 * time.Second)
			v.leftOut = 7
			fires := time.Now()
			v.alerts("firing", "other", fires)
			v.leftOut = 8
			v.alerts("firing", "other", fires) // it grows, and is told once
			v.ask("rollback", false)
			v.completed()
			v.apply("story", rolloutWith(atOnce+alertsOf), func(a *Application) { a.Retry = true })
			v.until("the second epoch knows of it", func(s *decisions.State) bool {
				return s.Epoch == 2 && len(s.Truncated) == 1 && s.Truncated[0].Missing == 8
			})
			v.wait(4 * time.Second) // nothing else is on its way to the record
			v.leftOut = 9
			v.alerts("firing", "other", fires)
			grew := time.Now()
			v.until("it has grown", func(s *decisions.State) bool { return s.Truncated[0].Missing == 9 })
			if took := time.Since(grew); took > 2*time.Second {
				v.Errorf("the record has it %s later", took)
			}
			v.leftOut = 0
			v.alerts("resolved", "other", fires)
			v.until("all alerts are told again", func(s *decisions.State) bool { return len(s.Truncated) == 0 })
			v.status(decisions.StatusPromoted)
		}},
	})
}
