package actuators

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"streamcanary/schemas"
)

var _ = fits(schemas.SinkMLflow, fixture{
	sink: schemas.Sink{Server: at(address, "f")}, heeds: true,
	use: schemas.SinkUse{Kind: schemas.SinkMLflow, Sink: "x", Name: "ranker", Alias: "champion", Candidate: "challenger", Stage: "Production", Baseline: "7", Canary: "8"},
	system: func() http.Handler { // as a promotion left it
		return newRegistry(map[string]string{"champion": "8", "challenger": "8"}, map[string]string{"7": "Archived", "8": "Production"})
	},
})

// A registry answers as MLflow's REST API does: objects in JSON, and errors as {"error_code", "message"}.
type registry struct {
	mu      sync.Mutex
	aliases map[string]string
	stages  map[string]string // of the versions that there are
	tags    map[string]string // of the model, and of versions: "8/key"
	log     []string          // what was changed
	bare    bool              // of a server that has no stages any more
	meddle  func(r *registry) // called before each alias is set
}

func newRegistry(aliases, stages map[string]string) *registry {
	return &registry{aliases: maps.Clone(aliases), stages: maps.Clone(stages), tags: map[string]string{}}
}

func (g *registry) fail(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error_code":%q,"message":%q}`, code, message)
}

func (g *registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	path, found := strings.CutPrefix(r.URL.Path, "/api/2.0/mlflow/")
	body := map[string]any{}
	if r.Method != http.MethodGet {
		if text, _ := io.ReadAll(r.Body); json.Unmarshal(text, &body) != nil {
			g.fail(w, 400, "BAD_REQUEST", "the body is no JSON")
			return
		}
	}
	of := func(key string) string {
		if text, ok := body[key].(string); ok {
			return text
		}
		return r.URL.Query().Get(key)
	}
	if version := of("version"); !found || of("name") != "ranker" || version != "" && g.stages[version] == "" {
		g.fail(w, 404, "RESOURCE_DOES_NOT_EXIST", "there is no such model version")
		return
	}
	answer := any(map[string]any{})
	switch r.Method + " " + path {
	case "GET registered-models/get":
		answer = g.registered()
	case "GET model-versions/get":
		answer = map[string]any{"model_version": map[string]any{"name": "ranker", "version": of("version"), "current_stage": g.stages[of("version")], "status": "READY"}}
	case "POST registered-models/alias":
		if g.meddle != nil {
			g.meddle(g)
		} else {
			g.aliases[of("alias")] = of("version")
		}
		g.log = append(g.log, of("alias")+" = "+of("version"))
	case "DELETE registered-models/alias":
		delete(g.aliases, of("alias"))
		g.log = append(g.log, "delete "+of("alias"))
	case "POST registered-models/set-tag":
		g.tags[of("key")] = of("value")
		g.log = append(g.log, "tag "+of("key")+" = "+of("value"))
	case "POST model-versions/set-tag":
		g.tags[of("version")+"/"+of("key")] = of("value")
		g.log = append(g.log, "tag "+of("version")+" "+of("key")+" = "+of("value"))
	case "POST model-versions/transition-stage":
		if g.bare {
			g.fail(w, 404, "ENDPOINT_NOT_FOUND", "there are no stages")
			return
		}
		if body["archive_existing_versions"] != false {
			g.fail(w, 400, "INVALID_PARAMETER_VALUE", "archive_existing_versions is missing")
			return
		}
		g.stages[of("version")] = of("stage")
		g.log = append(g.log, of("version")+" is "+of("stage"))
	default:
		g.fail(w, 404, "ENDPOINT_NOT_FOUND", r.Method+" "+path)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// registered is the model, as it is answered.
func (g *registry) registered() map[string]any {
	list := []map[string]string{}
	for _, alias := range slices.Sorted(maps.Keys(g.aliases)) {
		list = append(list, map[string]string{"alias": alias, "version": g.aliases[alias]})
	}
	tags := []map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(g.tags)) {
		if !strings.Contains(key, "/") {
			tags = append(tags, map[string]string{"key": key, "value": g.tags[key]})
		}
	}
	newest := map[string]map[string]string{} // of each stage
	for _, version := range slices.Sorted(maps.Keys(g.stages)) {
		newest[g.stages[version]] = map[string]string{"name": "ranker", "version": version, "current_stage": g.stages[version], "status": "READY"}
	}
	return map[string]any{"registered_model": map[string]any{
		"name": "ranker", "creation_timestamp": 1, "aliases": list, "tags": tags, "latest_versions": slices.Collect(maps.Values(newest)),
	}}
}

// onRegistry plays with a registry of its own.
func onRegistry(t *testing.T, g *registry, play func(w *world)) {
	t.Helper()
	within(t, schemas.SinkMLflow, func(_ int, w http.ResponseWriter, r *http.Request) bool {
		g.ServeHTTP(w, r)
		return true
	}, play)
}

func TestMLflow(t *testing.T) {
	begun := map[string]string{"champion": "7"}
	serving := map[string]string{"7": "Production", "8": "None"}
	tags := []string{"tag 7 streamcanary.decision = " + anID, "tag 8 streamcanary.decision = " + anID}
	champion, challenger := "tag streamcanary.set.champion = 8 for ranker", "tag streamcanary.set.challenger = 8 for ranker"
	production := "tag streamcanary.stage.Production = 8 for ranker"
	tests := []struct {
		name    string
		action  schemas.Action
		phase   schemas.Phase
		aliases map[string]string
		stages  map[string]string
		want    []string // what is changed, in order
	}{
		{"prepare", schemas.ActionStart, schemas.PhasePrepare, begun, serving, nil},
		{"start", schemas.ActionStart, schemas.PhaseCommit, begun, serving, []string{"challenger = 8", challenger}},
		{"start again", schemas.ActionStart, schemas.PhaseCommit, map[string]string{"champion": "7", "challenger": "8"}, serving, []string{challenger}},
		{"hold", schemas.ActionHold, "", begun, serving, nil},
		{"promote", schemas.ActionPromote, "", map[string]string{"champion": "7", "challenger": "8"}, serving, []string{
			"tag streamcanary.previous.champion = 7", "champion = 8", champion, "tag streamcanary.previous.challenger = 8", "delete challenger", tags[0], tags[1], "8 is Production", production, "7 is Archived"}},
		{"promote a first one", schemas.ActionPromote, "", nil, serving, []string{"champion = 8", champion, tags[0], tags[1], "8 is Production", production, "7 is Archived"}},
		{"rollback", schemas.ActionRollback, "", map[string]string{"champion": "7", "challenger": "8"}, serving, []string{
			"tag streamcanary.previous.challenger = 8", "delete challenger", tags[1], tags[0], "8 is Archived"}},
		{"rollback of a promotion", schemas.ActionRollback, "", map[string]string{"champion": "8"}, map[string]string{"7": "Archived", "8": "Production"}, []string{
			"tag streamcanary.previous.champion = 8", "champion = 7", "tag streamcanary.set.champion = 7 for ranker", tags[1], tags[0], "7 is Production", "tag streamcanary.stage.Production = 7 for ranker", "8 is Archived"}},
		{"rollback without a champion", schemas.ActionRollback, "", nil, map[string]string{"7": "Production", "8": "Archived"}, []string{tags[1], tags[0]}},
		{"deleted", schemas.ActionStart, schemas.PhaseAbort, map[string]string{"champion": "7", "challenger": "8"}, serving, []string{"tag streamcanary.previous.challenger = 8", "delete challenger"}},
		{"another candidate by now", schemas.ActionSupersede, schemas.PhaseAbort, map[string]string{"challenger": "9"}, serving, nil},
		{"supersede", schemas.ActionSupersede, schemas.PhaseAbort, map[string]string{"challenger": "8"}, serving, []string{"tag streamcanary.previous.challenger = 8", "delete challenger"}},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			g := newRegistry(x.aliases, x.stages)
			if g.aliases == nil {
				g.aliases = map[string]string{}
			}
			onRegistry(t, g, func(w *world) {
				d := rollback()
				d.Action, d.Phase = x.action, x.phase
				for range 2 { // the second time finds it done
					if err := w.sink.Act(w.Context(), eventOf(w.kind, d)); err != nil {
						w.Fatal(err)
					}
				}
				got := g.log
				if len(got) > len(x.want) { // tags of decisions are written each time
					got = slices.DeleteFunc(slices.Clone(got[len(x.want):]), func(s string) bool { return strings.Contains(s, "streamcanary.decision") })
					got = append(slices.Clone(g.log[:len(x.want)]), got...)
				}
				if !slices.Equal(got, x.want) {
					w.Errorf("got  %q\nwant %q", got, x.want)
				}
			})
		})
	}
}

// acts carries out a decision, which is refused with an error where one is wanted.
func (w *world) acts(name string, d *schemas.Decision, wantErr string) {
	err := w.sink.Act(w.Context(), eventOf(w.kind, d))
	switch {
	case wantErr != "":
		if f := w.fails(err, wantErr); !f.Refused {
			w.Errorf("%s: %+v", name, f)
		}
	case err != nil:
		w.Errorf("%s: %s", name, err)
	}
}

// TestAliasesOfEarlierEpochs: an alias that an earlier rollout of the model has set is ours, also where that had another canary, and one that anybody else has moved since is not.
func TestAliasesOfEarlierEpochs(t *testing.T) {
	versions := map[string]string{"6": "None", "7": "None", "8": "None", "9": "None"}
	promoted, tried := map[string]string{"champion": "6", "challenger": "6"}, map[string]string{"champion": "7", "challenger": "6"}
	ours := func(champion, challenger string) map[string]string {
		return map[string]string{"streamcanary.set.champion": champion, "streamcanary.set.challenger": challenger}
	}
	commit := schemas.PhaseCommit
	tests := []struct {
		name          string
		action        schemas.Action
		phase         schemas.Phase
		aliases, tags map[string]string
		want          string // champion and challenger after it, and what is said to be set
		wantErr       string
	}{
		{"a newer canary", schemas.ActionStart, commit, tried, ours("", "6 for ranker"), "7 8: , 8 for ranker", ""},
		{"over a promotion", schemas.ActionStart, commit, promoted, ours("6 for ranker", "none for ranker"), "7 6: 7 for ranker, none for ranker",
			"move alias challenger: it points to version 6 of ranker, and nothing says that a rollout of ranker has set that, so it is left alone; move it to 8 by hand"},
		{"over a promotion that somebody else made", schemas.ActionStart, commit, map[string]string{"champion": "6"}, ours("7 for ranker", ""), "6 8: 7 for ranker, 8 for ranker", ""},
		{"of another model of ours", schemas.ActionStart, commit, tried, ours("", "6 for another"), "7 6: , 6 for another", "and nothing says that a rollout of ranker has set that"},
		{"somebody else's since", schemas.ActionStart, commit, map[string]string{"champion": "7", "challenger": "9"}, ours("", "6 for ranker"), "7 9: , 6 for ranker",
			"it points to version 9 of ranker, and was to point to 6: somebody else moved it, so it is left alone; move it to 8 by hand"},
		{"back before it was moved", schemas.ActionRollback, "", tried, ours("", "6 for ranker"), "7 : , none for ranker", ""},
		{"taken away before it was moved", schemas.ActionSupersede, schemas.PhaseAbort, tried, ours("", "6 for ranker"), "7 : , none for ranker", ""},
		{"back over a promotion", schemas.ActionRollback, "", promoted, ours("6 for ranker", "6 for ranker"), "7 : 7 for ranker, none for ranker", ""},
	}
	for _, x := range tests {
		g := newRegistry(x.aliases, versions)
		g.tags = maps.Clone(x.tags)
		onRegistry(t, g, func(w *world) {
			d := rollback()
			d.Action, d.Phase = x.action, x.phase
			for range 2 { // the second time finds it done
				w.acts(x.name, d, x.wantErr)
				if got := g.aliases["champion"] + " " + g.aliases["challenger"] + ": " + g.tags["streamcanary.set.champion"] + ", " + g.tags["streamcanary.set.challenger"]; got != x.want {
					w.Errorf("%s: %q, want %q; changed %q", x.name, got, x.want, g.log)
				}
			}
		})
	}
	g := newRegistry(tried, versions) // the tag was not written any more
	g.tags = ours("", "6 for ranker")
	onRegistry(t, g, func(w *world) {
		g.aliases["challenger"] = "8"
		d := rollback()
		d.Action, d.Phase = schemas.ActionStart, commit
		if err := w.sink.Act(w.Context(), eventOf(w.kind, d)); err != nil || g.tags["streamcanary.set.challenger"] != "8 for ranker" {
			w.Errorf("%v, tags %v", err, g.tags)
		}
	})
}

// TestStagesOfEarlierEpochs: a start over a promotion gives the stage that this moved back to the baseline, from whichever version that was, and one that anybody else has moved since stays.
func TestStagesOfEarlierEpochs(t *testing.T) {
	promoted := map[string]string{"7": "Archived", "8": "Production", "9": "None"}
	commit, prepare := schemas.PhaseCommit, schemas.PhasePrepare
	for _, x := range []struct {
		name    string
		action  schemas.Action
		phase   schemas.Phase
		stages  map[string]string
		last    string // what is said to have been set
		outside bool   // another controller moves the weights
		want    string // stages of 7, 8 and 9 after it, and what is said then
	}{
		{"tried once more", schemas.ActionStart, commit, promoted, "8 for ranker", false, "Production Archived None: 7 for ranker"},
		{"over another canary's", schemas.ActionStart, commit, map[string]string{"7": "Archived", "8": "None", "9": "Production"}, "9 for ranker", false, "Production None Archived: 7 for ranker"},
		{"it ended half way", schemas.ActionStart, commit, map[string]string{"7": "Production", "8": "Production", "9": "None"}, "8 for ranker", false, "Production Archived None: 7 for ranker"},
		{"the version is gone", schemas.ActionStart, commit, promoted, "5 for ranker", false, "Archived Production None: 5 for ranker"},
		{"by somebody else", schemas.ActionStart, commit, promoted, "", false, "Archived Production None: "},
		{"taken away by somebody else", schemas.ActionStart, commit, map[string]string{"7": "Archived", "8": "Staging", "9": "Production"}, "8 for ranker", false, "Archived Staging Production: 8 for ranker"},
		{"of another model of ours", schemas.ActionStart, commit, promoted, "8 for another", false, "Archived Production None: 8 for another"},
		{"of the version that serves", schemas.ActionStart, commit, map[string]string{"7": "Production", "8": "None", "9": "None"}, "7 for ranker", false, "Production None None: 7 for ranker"},
		{"another controller's", schemas.ActionStart, commit, promoted, "8 for ranker", true, "Archived Production None: 8 for ranker"},
		{"not begun", schemas.ActionStart, prepare, promoted, "8 for ranker", false, "Archived Production None: 8 for ranker"},
		{"a promotion", schemas.ActionPromote, "", map[string]string{"7": "Production", "8": "None", "9": "None"}, "7 for ranker", false, "Archived Production None: 8 for ranker"},
		{"a promotion that ended half way", schemas.ActionPromote, "", map[string]string{"7": "Production", "8": "Production", "9": "None"}, "7 for ranker", false, "Archived Production None: 8 for ranker"},
		{"back from a promotion", schemas.ActionRollback, "", promoted, "8 for ranker", false, "Production Archived None: 7 for ranker"},
		{"back, and nothing was given", schemas.ActionRollback, "", map[string]string{"7": "Production", "8": "None", "9": "None"}, "", false, "Production Archived None: "},
	} {
		g := newRegistry(map[string]string{"champion": "7", "challenger": "8"}, x.stages)
		if x.last != "" {
			g.tags["streamcanary.stage.Production"] = x.last
		}
		onRegistry(t, g, func(w *world) {
			d := rollback()
			d.Action, d.Phase = x.action, x.phase
			if x.outside {
				d.Routes = nil
			}
			for range 2 { // the second time finds it done
				if err := w.sink.Act(w.Context(), eventOf(w.kind, d)); err != nil {
					w.Errorf("%s: %s", x.name, err)
				}
				if got := fmt.Sprintf("%s %s %s: %s", g.stages["7"], g.stages["8"], g.stages["9"], g.tags["streamcanary.stage.Production"]); got != x.want {
					w.Errorf("%s: %q, want %q; changed %q", x.name, got, x.want, g.log)
				}
			}
		})
	}
}

// TestSomebodyElseMovesTheStage: where the version that served doesn't have it any more, and one that no rollout gave it does, it stays there, and people are told. Of two that have it one may be ours.
func TestSomebodyElseMovesTheStage(t *testing.T) {
	moved := map[string]string{"7": "Archived", "8": "Archived", "9": "Production"}
	for _, x := range []struct {
		name    string
		action  schemas.Action
		stages  map[string]string
		last    string // what is said to have been set
		want    string // stages of 7, 8 and 9 after it
		wantErr string
	}{
		{"back", schemas.ActionRollback, moved, "8 for ranker", "Archived Archived Production",
			"give version 7 the stage Production: version 9 of ranker has it, which no rollout has given it, and 8, which served, doesn't, so it is left alone; give it to 7 by hand"},
		{"a promotion", schemas.ActionPromote, moved, "", "Archived Archived Production", "give version 8 the stage Production: version 9 of ranker has it, which no rollout has given it, and 7, which served, doesn't"},
		{"beside the one that served", schemas.ActionPromote, map[string]string{"7": "Production", "8": "None", "9": "Production"}, "", "Archived Production Production", ""},
		{"an earlier canary of ours", schemas.ActionRollback, moved, "9 for ranker", "Production Archived Production", ""},
		{"the one that takes over has it", schemas.ActionRollback, map[string]string{"7": "Production", "8": "None", "9": "Production"}, "", "Production Archived Production", ""},
		{"nobody has it", schemas.ActionRollback, map[string]string{"7": "Archived", "8": "Staging", "9": "None"}, "8 for ranker", "Production Archived None", ""},
		{"who served is gone", schemas.ActionPromote, map[string]string{"8": "None", "9": "Production"}, "", " None Production", "version 9 of ranker has it, which no rollout has given it, and 7, which served, doesn't"},
	} {
		g := newRegistry(map[string]string{"champion": "8"}, x.stages)
		if x.last != "" {
			g.tags["streamcanary.stage.Production"] = x.last
		}
		onRegistry(t, g, func(w *world) {
			d := rollback()
			d.Action = x.action
			w.acts(x.name, d, x.wantErr)
			if got := fmt.Sprintf("%s %s %s", g.stages["7"], g.stages["8"], g.stages["9"]); got != x.want {
				w.Errorf("%s: %q, want %q; changed %q", x.name, got, x.want, g.log)
			}
		})
	}
}

// TestMLflowWithoutStages: all the rest is done, and a person hears what to write instead.
func TestMLflowWithoutStages(t *testing.T) {
	g := newRegistry(map[string]string{"champion": "8"}, map[string]string{"7": "None", "8": "None"})
	g.bare = true
	onRegistry(t, g, func(w *world) {
		f := w.fails(w.act(), "give version 7 the stage Production", "this MLflow has no stages (it answers 404): use alias in place of stage")
		if !f.Refused || g.aliases["champion"] != "7" || g.tags["7/streamcanary.decision"] == "" {
			w.Errorf("%+v, changed %v", f, g.log)
		}
	})
}

// TestSomebodyElseMovesTheAlias: what somebody else set is left alone, and said.
func TestSomebodyElseMovesTheAlias(t *testing.T) {
	versions := map[string]string{"7": "None", "8": "None", "9": "None"}
	g := newRegistry(map[string]string{"champion": "9"}, versions)
	onRegistry(t, g, func(w *world) {
		f := w.fails(w.act(), "move alias champion", "it points to version 9 of ranker, and was to point to 8: somebody else moved it, so it is left alone; move it to 7 by hand")
		if !f.Refused || g.aliases["champion"] != "9" || g.tags["7/streamcanary.decision"] != anID || g.stages["7"] != "Production" || g.stages["8"] != "Archived" {
			w.Errorf("%+v, changed %v", f, g.log) // all else is done
		}
	})
	g = newRegistry(map[string]string{"champion": "8"}, versions)
	g.meddle = func(g *registry) { g.aliases["champion"] = "9" }
	onRegistry(t, g, func(w *world) {
		if f := w.fails(w.act(), "it was set to 7, and then didn't point there"); f.Refused {
			w.Errorf("%+v", f)
		}
	})
	g = newRegistry(nil, map[string]string{"7": "None"})
	onRegistry(t, g, func(w *world) { // the version of the canary is gone
		f := w.fails(w.act(), "model-versions/set-tag: MLflow has no such thing: there is no such model version: register it, or mend name, baseline and canary")
		if !f.Refused || g.tags["7/streamcanary.decision"] != anID || g.stages["7"] != "Production" {
			w.Errorf("%+v, changed %v", f, g.log)
		}
	})
	within(t, schemas.SinkMLflow, func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		fmt.Fprint(w, `{"hello":"world"}`)
		return true
	}, func(w *world) { _ = w.fails(w.act(), "but not with that model: is that the address of MLflow?") })
}
