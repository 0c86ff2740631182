package serve

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// library is the village's model registry: what it says of a version, which may change.
type library struct {
	mu      sync.Mutex
	answers map[string]string // by version
	away    bool              // it answers nobody
	slow    time.Duration
}

func (l *library) set(version, answer string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers[version] = answer
}

func (l *library) goes(away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = away
}

func (l *library) hangs(slow time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slow = slow
}

func (l *library) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	slow := l.slow
	l.mu.Unlock()
	time.Sleep(slow)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		http.Error(w, "the store is away", http.StatusServiceUnavailable)
		return
	}
	answer, there := l.answers[r.URL.Query().Get("version")]
	if !there {
		w.WriteHeader(http.StatusNotFound)
		answer = `{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "not found"}`
	}
	_, _ = io.WriteString(w, answer) // whoever asked may be gone
}

const (
	readyV1 = `{"model_version": {"name": "ranker", "version": "v1", "source": "s3://one", "run_id": "1", "status": "READY"}}`
	readyV2 = `{"model_version": {"name": "ranker", "version": "v2", "source": "s3://two", "run_id": "2", "status": "READY"}}`
)

// lends lets a library answer at the address of the village's MLflow.
func (v *village) lends(l *library) {
	v.Helper()
	listener, err := v.network.Listen("tcp", mlflowAddress)
	v.must(err)
	server := &http.Server{Handler: l}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener) // ends with Close
	}()
	v.stops = append(v.stops, func() {
		server.Close()
		<-ended
	})
}

// documented adds the files of a rollout's pillars to its application.
func documented(files ...string) func(*Application) {
	return func(a *Application) {
		a.Documents = map[string]string{}
		for i := 0; i < len(files); i += 2 {
			a.Documents[files[i]] = files[i+1]
		}
	}
}

const (
	forLong      = "  stages: [{weight: 10, bake: 2h, max: 3h}]\n"
	registered   = "  pillars: {registry: {mlflow: {name: ranker}}}\n"
	withRequests = "  pillars: {input: {baseline: in-1.json, canary: in-2.json}}\n"
)

func TestStoriesOfPillars(t *testing.T) {
	tell(t, map[string]tale{
		"no-registry-no-start": {atOnce + registered, func(v *village) {
			v.status(decisions.StatusRefused) // MLflow is away
			v.steady(10)
			l := &library{answers: map[string]string{"v1": readyV1}, slow: 3 * time.Second}
			v.lends(l)
			v.apply("story", rolloutWith(atOnce+registered))
			v.epoch(2, decisions.StatusRefused) // v2 isn't there
			v.steady(10)
			l.set("v2", readyV2)
			v.apply("story", rolloutWith(atOnce+registered))
			v.epoch(3, decisions.StatusPromoted)
			v.steady(10)
			l.set("v2", strings.Replace(readyV2, "s3://two", "s3://other", 1))
			past := func(a *Application) { a.Override = true } // who wants all users back on v1
			v.apply("story", rolloutWith(atOnce+registered), past)
			v.epoch(4, decisions.StatusRefused) // v2 isn't what it was
			v.steady(10)
			v.apply("story", rolloutWith(atOnce+registered), past)
			v.epoch(5, decisions.StatusRefused)
		}},
		"back-while-the-registry-hangs": {atOnce + registered, func(v *village) {
			v.status(decisions.StatusRefused) // MLflow is away
			l := &library{answers: map[string]string{"v1": readyV1, "v2": readyV2}}
			v.lends(l)
			v.apply("story", rolloutWith(atOnce+registered))
			v.epoch(2, decisions.StatusPromoted)
			v.steady(10)
			l.hangs(time.Minute) // it is asked for 3 s then
			forward := strings.Replace(rolloutWith(atOnce+registered), "name: story", "name: other", 1)
			v.apply("other", forward, func(a *Application) { a.Override, a.Back = true, &decisions.Back{Rollout: "story", Override: true} })
			v.untilOf("other", "what doesn't lead back is refused", func(s *decisions.State) bool { return s.Status == decisions.StatusRefused })
			text, name, err := schemas.WayBack([]byte(rolloutWith(atOnce + registered)))
			v.must(err)
			for _, past := range []bool{false, true} {
				v.apply(name, string(text), func(a *Application) { a.Back = &decisions.Back{Rollout: "story", Override: past} })
				v.untilOf(name, "it is refused, or begins", func(s *decisions.State) bool {
					return !past && s.Status == decisions.StatusRefused || past && s.Status == decisions.StatusRunning && s.Wait == nil
				})
			}
			_, err = v.bus.Ask(v.Context(), name, &schemas.Command{ID: "back", Do: "promote", By: "ada", Comment: "users complain"}, "")
			v.must(err)
			v.untilOf(name, "it is promoted", func(s *decisions.State) bool { return s.Status == decisions.StatusPromoted })
			v.wait(2 * time.Minute) // until MLflow's last answer, which nobody waits for
		}},
		"requests-that-do-not-fit": {atOnce + withRequests, func(v *village) {
			v.status(decisions.StatusRefused) // the application came without its files
			v.steady(1)
			const one, two = `{"type": "object"}`, `{"type": "object", "required": ["user"]}`
			v.apply("story", rolloutWith(atOnce+withRequests), documented("in-1.json", one, "in-2.json", two))
			v.epoch(2, decisions.StatusRefused)
			v.steady(1)
			v.apply("story", rolloutWith(atOnce+withRequests), documented("in-1.json", one, "in-2.json", one))
			v.epoch(3, decisions.StatusRunning)
			v.wait(10 * time.Second)
			// A running rollout goes on, whatever else is asked for.
			v.apply("story", rolloutWith(atOnce+withRequests), documented("in-1.json", one, "in-2.json", two))
			second := strings.Replace(rolloutWith(atOnce+withRequests), "name: story", "name: second", 1)
			v.apply("second", second, func(a *Application) { a.Supersede = true })
			v.epoch(3, decisions.StatusPromoted)
		}},
	})
}

// TestStoriesOfPillarsThatFail: a registry that is away, or has something else by now, while the rollout runs.
func TestStoriesOfPillarsThatFail(t *testing.T) {
	tell(t, map[string]tale{
		"a-registry-that-changes-while-it-runs": {forLong + registered, func(v *village) {
			v.requests.Store(20)
			v.status(decisions.StatusRefused) // MLflow is away
			v.steady(10)
			l := &library{answers: map[string]string{"v1": readyV1, "v2": readyV2}}
			v.lends(l)
			v.apply("story", rolloutWith(forLong+registered))
			v.epoch(2, decisions.StatusRunning)
			v.steady(10)
			known := func(what string, is func(w *decisions.Watched) bool) {
				v.until(what, func(s *decisions.State) bool { return len(s.Watched) == 1 && is(&s.Watched[0]) })
			}
			l.goes(true)
			known("the registry is away", func(w *decisions.Watched) bool { return w.State == decisions.PillarHeld && w.UnknownMs > 0 })
			v.steady(10)
			v.restart() // what is known is in the record
			v.steady(10)
			l.goes(false)
			l.set("v1", strings.Replace(readyV1, "s3://one", "s3://other", 1))
			known("v1 is not what it was", func(w *decisions.Watched) bool {
				return w.State == decisions.PillarFailed && w.Baseline && w.UnknownMs == 0
			})
			v.status(decisions.StatusHolding)
			v.steady(10)
			l.set("v1", readyV1)
			v.status(decisions.StatusRunning)
			v.steady(10)
			l.set("v1", strings.Replace(readyV1, "READY", "FAILED_REGISTRATION", 1))
			v.status(decisions.StatusHolding)
			v.steady(10)
			v.errors.Store(10_000)
			v.completed()
		}},
	})
}

// TestWatchPeriod: rollouts don't ask all at once, and each asks about every five minutes.
func TestWatchPeriod(t *testing.T) {
	seen := map[time.Duration]bool{}
	for i := range 1000 {
		p := watchPeriod(fmt.Sprintf("ranker-%d", i))
		if seen[p] = true; p < 4*time.Minute || p >= 6*time.Minute {
			t.Fatalf("rollout %d asks every %s", i, p)
		}
	}
	if len(seen) < 500 {
		t.Errorf("1000 rollouts ask at %d times", len(seen))
	}
}

// TestWatchesDue: of many rollouts the longest overdue comes first, so that none waits for ever behind others, and nobody asks about what needs no asking.
func TestWatchesDue(t *testing.T) {
	now := time.Now()
	c := &court{desks: map[string]*desk{}, watches: map[string]bool{"under-way": true}}
	add := func(name string, at time.Time, p schemas.Pillars, status decisions.Status) {
		c.desks[name] = &desk{rollout: &schemas.Rollout{Name: name, Pillars: p}, watchAt: at, head: decisions.Head{State: decisions.State{Status: status}}}
	}
	asks := schemas.Pillars{MLflow: &schemas.MLflowPillar{}}
	add("a", now.Add(-time.Second), asks, decisions.StatusRunning)
	add("b", now.Add(-time.Minute), asks, decisions.StatusHolding)
	add("ended", now.Add(-time.Hour), asks, decisions.StatusPromoted)
	add("later", now.Add(time.Second), asks, decisions.StatusRunning)
	add("no-pillars", now.Add(-time.Hour), schemas.Pillars{}, decisions.StatusRunning)
	add("reopened", time.Time{}, asks, decisions.StatusRunning)
	add("under-way", now.Add(-time.Hour), asks, decisions.StatusRunning)
	if due := c.watchesDue(now); !slices.Equal(due, []string{"b", "a"}) {
		t.Errorf("due %q", due)
	}
	if due := c.watchesDue(now.Add(time.Minute)); !slices.Equal(due, []string{"b", "a", "later", "reopened"}) {
		t.Errorf("a minute later due %q", due)
	}
	c.watches["c"], c.watches["d"], c.watches["e"] = true, true, true
	c.watchPillars(t.Context(), now) // as many as there may be are under way
	if len(c.watches) != watchesMost || !c.desks["b"].watchAt.Before(now) {
		t.Errorf("%d are under way", len(c.watches))
	}
}

// TestPinsOutliveRollouts: what a version was at first sight is known when its rollout is deleted, and the service began again.
func TestPinsOutliveRollouts(t *testing.T) {
	rollout := storyHead + errorsMore + atOnce + registered
	inVillage(t, rollout, "", func(v *village) {
		v.status(decisions.StatusRefused) // MLflow is away
		l := &library{answers: map[string]string{"v1": readyV1, "v2": readyV2}}
		v.lends(l)
		v.apply("story", rollout)
		v.epoch(2, decisions.StatusPromoted)
		there, err := v.bus.Spec(v.Context(), "story")
		v.must(err)
		v.must(v.bus.DeleteSpec(v.Context(), "story", there.Revision)) // as `rollout delete` does
		_, revision, err := v.bus.LoadHead(v.Context(), "story")
		v.must(err)
		v.must(v.bus.DeleteHead(v.Context(), "story", revision))
		v.wait(time.Second)
		v.restart()
		l.set("v2", strings.Replace(readyV2, "s3://two", "s3://other", 1))
		v.apply("other", strings.Replace(rollout, "name: story", "name: other", 1), func(a *Application) { a.Override = true })
		v.untilOf("other", "refused", func(s *decisions.State) bool { return s.Status == decisions.StatusRefused })
		head, _, err := v.bus.LoadHead(v.Context(), "other")
		v.must(err)
		if why := decisions.FailedPillars(head.State.Pillars); !strings.Contains(why, "s3://two") {
			t.Errorf("refused since %q, want its first source in it", why)
		}
	})
}

// TestSlowRegistry: a rollout whose registry takes its time begins later, unless somebody has said when, and no other one waits for that. Whoever begins where it does finds it in the record and in the journal.
func TestSlowRegistry(t *testing.T) {
	const passed = "its first window lies behind what was read"
	second := strings.NewReplacer("name: story", "name: second", "model: ranker", "model: other\n  mode: advise", "  acks: {routers: [router-a], within: 10s}\n", "").
		Replace(storyHead + errorsMore + forLong + strings.Replace(registered, "name: ranker", "name: other", 1))
	for name, x := range map[string]struct {
		change func(*Application)
		began  time.Duration // after it was applied
		again  int           // how often events are read again for it
	}{
		"as soon as can be":      {func(a *Application) { a.From, a.Soon = a.From+schemas.Time(StartAhead.Milliseconds()), true }, 8*time.Second + StartAhead, 0},
		"at a time that is said": {func(a *Application) { a.From += schemas.Time(StartAhead.Milliseconds()) }, StartAhead, 1},
		"in the past":            {func(a *Application) { a.From -= 5000 }, -5 * time.Second, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inVillage(t, rolloutWith(forLong), "", func(v *village) {
				v.lends(&library{answers: map[string]string{"v1": strings.ReplaceAll(readyV1, "ranker", "other"), "v2": strings.ReplaceAll(readyV2, "ranker", "other")}, slow: 4 * time.Second})
				v.others.Store(50)
				v.status(decisions.StatusRunning)
				v.steady(20)
				at := time.Now()
				v.apply("second", second, x.change)
				for time.Since(at) < 20*time.Second {
					v.wait(time.Second)
					if page := v.page("/v1/rollouts/story"); reachedOf(t, page) < schemas.Time(time.Now().Add(-6*time.Second).UnixMilli()) {
						t.Errorf("%s after it was applied, the other rollout is judged up to %s", time.Since(at), reachedOf(t, page))
					}
				}
				v.untilOf("second", "it is judged", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning })
				if again := v.log.times(passed); again != x.again {
					t.Errorf("events were read again %d times, want %d", again, x.again)
				}
				v.begun("second", at.Add(x.began))
				v.restart()
				v.wait(5 * time.Second)
				v.begun("second", at.Add(x.began))
				v.wait(0)
				at = time.Now()
				_, err := v.bus.Ask(v.Context(), "second", &schemas.Command{ID: "again", Do: "retry", By: "ada", Comment: "once more", Override: true}, "")
				v.must(err)
				v.untilOf("second", "it is judged anew", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusRunning })
				v.begun("second", at.Add(8*time.Second+StartAhead))
				if again := v.log.times(passed); again != x.again {
					t.Errorf("events were read again %d times in all, want %d", again, x.again)
				}
				v.ask("rollback", false)
				v.completed()
				v.honest()
			})
		})
	}
}

// reachedOf is how far a rollout is judged, as its page says.
func reachedOf(t *testing.T, page string) schemas.Time {
	t.Helper()
	var standing Standing
	if _, text, _ := strings.Cut(page, " "); json.Unmarshal([]byte(text), &standing) != nil || standing.Report.Reached == 0 {
		t.Fatalf("the page is %s", page)
	}
	return standing.Report.Reached
}

// begun wants a rollout's windows to be judged from a time on: a second or so is for who asks.
func (v *village) begun(rollout string, at time.Time) {
	v.Helper()
	head, _, err := v.bus.LoadHead(v.Context(), rollout)
	v.must(err)
	a, err := ReadApplication(head.Applied)
	v.must(err)
	if from := time.UnixMilli(int64(a.From)); from.Before(at) || from.After(at.Add(time.Second)) {
		v.Errorf("rollout %s is judged from %s on, want %s", rollout, from, at)
	}
}

// epoch waits until an epoch has a status.
func (v *village) epoch(epoch int64, want decisions.Status) {
	v.Helper()
	v.until(string(want), func(s *decisions.State) bool { return s.Epoch == epoch && s.Status == want })
}
