package serve

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// deletesKeys does what `nats kv del` does: marks stay.
func (v *village) deletesKeys(suffixes ...string) {
	v.Helper()
	bucket, err := v.js().KeyValue(v.Context(), schemas.RolloutsBucket)
	v.must(err)
	for _, suffix := range suffixes {
		v.must(bucket.Delete(v.Context(), "story"+suffix))
	}
}

// TestKeysDeleted: a record or a file that somebody deletes by its key is there again within seconds, whatever the rollout has come to, people are told of it as that, nothing is lost, and a canary that goes bad
// then is rolled back at once.
func TestKeysDeleted(t *testing.T) {
	amongOthers(t)
	for _, row := range []struct {
		name  string
		keys  []string
		ended bool // the rollback is carried out
		told  []string
	}{
		{"the record", []string{".state"}, false, []string{"record of rollout story"}},
		{"the file", []string{".spec"}, false, []string{"file of rollout story"}},
		{"both", []string{".spec", ".state"}, false, []string{"file of rollout story", "record of rollout story"}},
		{"the record of one that has ended", []string{".state"}, true, []string{"record of rollout story"}},
		{"the file of one that has ended", []string{".spec"}, true, []string{"file of rollout story"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
				v.status(decisions.StatusRunning)
				v.wait(5*time.Second + 130*time.Millisecond)
				if row.ended {
					v.errors.Store(6000)
					v.completed()
				}
				v.deletesKeys(row.keys...)
				v.wait(4*time.Second + 130*time.Millisecond)
				if !v.recorded() {
					t.Error("4 s later the record or the file isn't there")
				}
				if ready := v.page("/readyz"); !strings.HasPrefix(ready, "200") {
					t.Errorf("ready: %s", ready)
				}
				if !row.ended {
					v.errors.Store(6000)
					began := time.Now()
					v.status(decisions.StatusRolledBack)
					if took := time.Since(began); took > 30*time.Second {
						t.Errorf("it is rolled back after %s", took)
					}
					v.completed()
				}
				v.restart()
				v.wait(5*time.Second + 130*time.Millisecond)
				if last, err := v.bus.LastDecision(v.Context(), "ranker"); err != nil || last.Decision.Epoch != 1 || v.share.Load() != 0 {
					t.Errorf("after a restart the canary has %d basis points: %v", v.share.Load(), err)
				}
				told := map[string]int{}
				for _, n := range v.notices(schemas.NoticeForeignDecision) {
					what, _, _ := strings.Cut(strings.TrimPrefix(n.Sentence, "Bucket streamcanary-rollouts, "), ": somebody deleted its key; serve has written it back from memory, and goes on. Look who may delete keys")
					told[what]++
				}
				for _, what := range row.told {
					if told[what] != 1 || len(told) != len(row.told) {
						t.Errorf("told %v, want %v", told, row.told)
					}
				}
				if lost := v.notices(schemas.NoticeRolloutLost); len(lost) != 0 {
					t.Errorf("lost: %+v", lost)
				}
				v.isFounded()
			})
		})
	}
}

// TestKeysDeletedByPeople: the file and the record of a rollout that has ended, and that people delete, stay away, though the serve that has it in memory is slow to hear why.
func TestKeysDeletedByPeople(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.harms()
		v.completed()
		v.deletesKeys(".spec") // that it was to end is overwritten by then
		v.wait(0)
		v.deletesKeys(".state")
		v.wait(10*time.Second + 130*time.Millisecond)
		specs, err := v.bus.Specs(v.Context())
		v.must(err)
		if _, _, gone := v.bus.LoadHead(v.Context(), "story"); gone == nil || len(specs) != 0 || strings.Contains(v.page("/v1/rollouts"), "story") {
			t.Errorf("it is still there: %v, %d files", gone, len(specs))
		}
		if told := v.notices(schemas.NoticeForeignDecision); len(told) != 0 {
			t.Errorf("told: %+v", told)
		}
	})
}

// TestKeysDeletedBeside: where two services run, who decides writes back what is deleted by its key, and who stands by goes on doing so, and takes over when it is its turn.
func TestKeysDeletedBeside(t *testing.T) {
	inVillage(t, storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n", "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		stop := v.other("new", "127.0.0.1:8089")
		v.wait(30*time.Second + 70*time.Millisecond)
		for range 10 { // also while the other one looks at the record
			v.deletesKeys(".state", ".spec")
			v.wait(3*time.Second + 330*time.Millisecond)
		}
		if head, _, err := v.bus.LoadHead(v.Context(), "story"); err != nil || head.Writer != "new" || !v.recorded() {
			t.Errorf("%s decides: %v", head.Writer, err)
		}
		if page := v.page("/v1/rollouts/story"); !strings.Contains(page, `"stands_by":true`) {
			t.Errorf("the first one: %s", page)
		}
		stop()
		v.wait(10*time.Second + 130*time.Millisecond)
		v.errors.Store(6000)
		v.completed()
		if told := v.notices(schemas.NoticeRolloutLost); len(told) != 0 || v.share.Load() != 0 {
			t.Errorf("the canary has %d basis points, told: %+v", v.share.Load(), told)
		}
	})
}

// TestNobodysRecord: a record that is gone, with or without its file, and that the service which decided for it doesn't write back, since it was killed, is nobody's: who stands by says so within seconds.
func TestNobodysRecord(t *testing.T) {
	amongOthers(t)
	for _, keys := range [][]string{{".state"}, {".spec", ".state"}, {".state", ".spec"}} {
		t.Run(strings.Join(keys, ""), func(t *testing.T) {
			inVillage(t, storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n", "", func(v *village) {
				v.status(decisions.StatusRunning)
				v.wait(5*time.Second + 130*time.Millisecond)
				v.other("new", "127.0.0.1:8089")
				v.wait(30*time.Second + 70*time.Millisecond)
				v.lines["new"].cut()
				v.deletesKeys(keys...)
				v.wait(9*time.Second + 70*time.Millisecond)
				if told := v.notices(schemas.NoticeRolloutLost); len(told) != 0 { // it could be slow
					t.Errorf("told within 9 s: %+v", told[0])
				}
				v.wait(16*time.Second + 70*time.Millisecond)
				told := v.notices(schemas.NoticeRolloutLost)
				if len(told) != 1 || !strings.Contains(told[0].Sentence, "Nobody does now: its record (bucket streamcanary-rollouts) is gone, and the serve that decided for it (new) doesn't write it back, ") {
					t.Errorf("told %d times: %+v", len(told), told)
				}
			})
		})
	}
}

// TestKeysDeletedByPeopleBeside: who stands by forgets a rollout that people delete, whether it was under way or had ended since, also where both its keys go at once, and nothing is told as lost.
func TestKeysDeletedByPeopleBeside(t *testing.T) {
	amongOthers(t)
	for _, ended := range []bool{false, true} {
		t.Run(fmt.Sprint("ended ", ended), func(t *testing.T) {
			rollout := storyHead + errorsMore + atOnce
			inVillage(t, rollout, "", func(v *village) {
				v.status(decisions.StatusRunning)
				v.wait(5*time.Second + 130*time.Millisecond)
				v.other("new", "127.0.0.1:8089")
				v.wait(10*time.Second + 70*time.Millisecond)
				if ended {
					v.errors.Store(6000)
					v.completed()
				} else {
					v.apply("story", rollout, func(a *Application) { a.Delete = true })
					v.until("it is deleted", func(s *decisions.State) bool { return s.Status.Ended() && (s.Saga == nil || s.Saga.Done()) })
				}
				v.deletesKeys(".spec", ".state")
				v.wait(30*time.Second + 70*time.Millisecond)
				if ready, page := v.page("/readyz"), v.page("/v1/rollouts"); !strings.HasPrefix(ready, "200") || strings.Contains(page, "story") {
					t.Errorf("ready: %s; rollouts: %s", ready, page)
				}
				if told := v.notices(schemas.NoticeRolloutLost); len(told) != 0 {
					t.Errorf("told %+v", told[0])
				}
			})
		})
	}
}

// unrecordedRow is a rollout whose record is deleted by its key while no serve runs.
type unrecordedRow struct {
	name    string
	harm    bool // it was rolled back
	deaf    bool // and that isn't carried out
	tokens  bool
	blank   bool // the journal was emptied, too
	ahead   bool // whoever applied it has a clock that is ahead
	lost    string
	refused string
}

const endedBefore = "epoch 1 has begun since this was handed in, and ended with story.1.3 (rollback), and the rollout's record is gone (bucket streamcanary-rollouts): "

// TestUnrecorded: where a record was deleted by its key while no serve ran, and the file is there, nothing begins by that: what was under way is lost, as where both are gone, and what had ended is refused until it is applied
// again.
func TestUnrecorded(t *testing.T) {
	amongOthers(t)
	for _, row := range []unrecordedRow{
		{name: "under way", lost: "by its last decision, story.1.2, model ranker has v1 90 %, v2 10 %"},
		{name: "under way, with tokens", tokens: true, lost: "by its last decision, story.1.2, model ranker has v1 90 %, v2 10 %"},
		{name: "under way, by a clock that is ahead", ahead: true, lost: "by its last decision, story.2.2, model ranker has v1 90 %, v2 10 %"},
		{name: "rolled back", harm: true, refused: endedBefore},
		{name: "rolled back, and without a journal", harm: true, blank: true, refused: endedBefore},
		{name: "rolled back, with tokens", harm: true, tokens: true, refused: endedBefore},
		{name: "rolled back, and not carried out", harm: true, deaf: true, lost: "model ranker is to have v1 100 %, and people were never told that this is carried out"},
	} {
		t.Run(row.name, func(t *testing.T) {
			more := ""
			if row.tokens {
				file := filepath.Join(t.TempDir(), "tokens")
				if err := os.WriteFile(file, []byte("admin ada "+strings.Repeat("a", 24)+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				more = "http: {listen: \"127.0.0.1:0\", tokensFile: \"" + file + "\"}\n"
			}
			inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
				newest := row.comesTo(v)
				v.stopService()
				v.deletesKeys(".state")
				if row.blank {
					v.deletesJournal()
				}
				v.more = more
				v.errors.Store(0)
				v.wait(time.Second)
				v.stopService = v.service()
				v.wait(20 * time.Second)
				if last, err := v.bus.LastDecision(v.Context(), "ranker"); err != nil || last.Decision.Epoch != newest {
					t.Errorf("%s was decided: %v", last.Decision.ID, err)
				}
				row.isTold(v)
				if row.tokens {
					return // only who has one sees more, or begins it
				}
				v.apply("story", storyHead+errorsMore+atOnce)
				v.until("another epoch", func(s *decisions.State) bool { return s.Epoch == newest+1 })
			})
		})
	}
}

// comesTo lets the rollout come to what it is then, in an epoch.
func (row *unrecordedRow) comesTo(v *village) (newest int64) {
	v.Helper()
	v.status(decisions.StatusRunning)
	v.wait(5*time.Second + 130*time.Millisecond)
	if newest = 1; row.ahead {
		newest = 2
		v.apply("story", storyHead+errorsMore+atOnce, func(a *Application) { a.Retry, a.At = true, a.At+schemas.Time(time.Hour.Milliseconds()) })
		v.until("a second epoch", func(s *decisions.State) bool { return s.Epoch == newest && s.Status == decisions.StatusRunning })
	}
	if row.harm {
		v.deaf.Store(row.deaf)
		v.errors.Store(6000)
		v.status(decisions.StatusRolledBack)
	}
	if row.harm && !row.deaf {
		v.completed()
	}
	return newest
}

// isTold holds what people hear against the row.
func (row *unrecordedRow) isTold(v *village) {
	v.Helper()
	told := v.notices(schemas.NoticeRolloutLost)
	switch {
	case row.lost == "" && len(told) != 0:
		v.Errorf("told %d times: %+v", len(told), told[0])
	case row.lost == "":
	case len(told) != 1 || !strings.HasPrefix(told[0].Sentence, "The record of rollout story is gone (bucket streamcanary-rollouts), and its file alone begins nothing; ") || !strings.Contains(told[0].Sentence, row.lost):
		v.Errorf("told %d times: %+v", len(told), told)
	}
	if row.tokens {
		return
	}
	ready, page := v.page("/readyz"), v.page("/v1/rollouts")
	if row.lost != "" && (!strings.HasPrefix(ready, "503 rollout story is lost: ") || !strings.Contains(page, `"status":"unknown"`) || strings.Contains(page, "refused")) {
		v.Errorf("ready: %s; rollouts: %s", ready, page)
	}
	if row.refused != "" && (!strings.HasPrefix(ready, "200") || !strings.Contains(page, `"refused":"`+row.refused)) {
		v.Errorf("ready: %s; rollouts: %s", ready, page)
	}
}

// TestUnrecordedTogether: it is looked for the records of all files together when serve starts, and not for those of files that say that they were refused; of such a one that was under way people hear all the same.
func TestUnrecordedTogether(t *testing.T) {
	amongOthers(t)
	const most, refused = 8, 3
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.harms()
		v.completed()
		names := []string{"story"}
		for n := range most {
			name := fmt.Sprint("r", n)
			names = append(names, name)
			v.apply(name, advisedOf(name, fmt.Sprint("m", n)))
			v.untilOf(name, "it runs", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning })
		}
		v.stopService()
		bucket, err := v.js().KeyValue(v.Context(), schemas.RolloutsBucket)
		v.must(err)
		for _, name := range names {
			v.must(bucket.Delete(v.Context(), name+".state"))
		}
		start := func(most time.Duration) {
			v.Helper()
			began := time.Now()
			v.stopService = v.service()
			if took := time.Since(began); took > most {
				v.Errorf("it is ready after %s", took)
			}
			v.wait(10 * time.Second)
		}
		start(3500 * time.Millisecond)
		if told := v.notices(schemas.NoticeRolloutLost); len(told) != most {
			t.Errorf("%d were told as lost", len(told))
		}
		for n := range most {
			there, err := v.bus.Spec(v.Context(), fmt.Sprint("r", n))
			v.must(err)
			if n >= refused {
				v.must(v.bus.DeleteSpec(v.Context(), there.Rollout, there.Revision))
				continue
			}
			a, err := ReadApplication(there.Body)
			v.must(err)
			a.Refused, a.RefusedAt = "no", a.At
			there.Body, err = a.Encode()
			v.must(err)
			_, err = v.bus.PutSpec(v.Context(), there)
			v.must(err)
		}
		v.stopService()
		start(500 * time.Millisecond)
		if told := v.notices(schemas.NoticeRolloutLost); len(told) != 2*most || !strings.HasPrefix(told[most].Sentence, "The record of rollout r0 is gone (bucket streamcanary-rollouts), and its file alone begins nothing; ") {
			t.Errorf("%d were told as lost: %s", len(told), told[len(told)-1].Sentence)
		}
	})
}

// TestFileDeletedBeside: who stands by for a rollout whose file is deleted by its key, alone or with the record, goes on standing by where there are tokens, too, though nobody has announced to it the file that is written back.
func TestFileDeletedBeside(t *testing.T) {
	amongOthers(t)
	for _, keys := range [][]string{{".spec"}, {".spec", ".state"}, {".state", ".spec"}} {
		t.Run(strings.Join(keys, ""), func(t *testing.T) {
			besideWithTokens(t, func(v *village, stop func()) {
				for range 3 {
					v.deletesKeys(keys...)
					v.wait(5*time.Second + 130*time.Millisecond)
				}
				stop()
				v.wait(10*time.Second + 130*time.Millisecond)
				if head, _, err := v.bus.LoadHead(v.Context(), "story"); err != nil || head.Writer == "new" || head.Writer == "" {
					t.Errorf("%q decides: %v", head.Writer, err)
				}
				v.errors.Store(6000)
				v.completed()
			})
		})
	}
}

// besideWithTokens lets a second service decide for a rollout that runs, where only who has a token may hand anything in.
func besideWithTokens(t *testing.T, tell func(v *village, stop func())) {
	t.Helper()
	folder := t.TempDir()
	put(t, folder, "tokens", doorTokens)
	inVillage(t, storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n", "http: {listen: \"127.0.0.1:0\", tokensFile: "+filepath.Join(folder, "tokens")+"}\n", func(v *village) {
		v.announces()
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		stop := v.other("new", "127.0.0.1:8089")
		v.wait(10*time.Second + 70*time.Millisecond)
		tell(v, stop)
	})
}

// TestFileOfEndedDeletedBeside: the file of a rollout that has ended, which who decides writes back, is refused by nobody: who stands by finds it in the record.
func TestFileOfEndedDeletedBeside(t *testing.T) {
	besideWithTokens(t, func(v *village, _ func()) {
		v.errors.Store(6000)
		v.completed()
		v.deletesKeys(".spec")
		v.wait(10*time.Second + 130*time.Millisecond)
		r, err := http.NewRequestWithContext(v.Context(), http.MethodGet, "http://127.0.0.1:8088/v1/rollouts", nil)
		v.must(err)
		r.Header.Set("Authorization", "Bearer viewer-token-12345")
		client := &http.Client{Transport: &http.Transport{DialContext: v.network.DialContext, DisableKeepAlives: true}}
		answer, err := client.Do(r)
		v.must(err)
		defer answer.Body.Close()
		page, err := io.ReadAll(answer.Body)
		v.must(err)
		if !strings.Contains(string(page), `"rollout":"story"`) || strings.Contains(string(page), "refused") {
			t.Errorf("rollouts: %s", page)
		}
	})
}
