package subscribe

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// violation is what may never be true; moves panic with it.
type violation string

func violated(format string, args ...any) { panic(violation(fmt.Sprintf(format, args...))) }

// checkNext holds a decision that is about to be stored behind the log's last one to what makes a chain.
func (w *fleet) checkNext(body uint8) {
	d := w.s.bodies[body].decision
	v := versionOf(d)
	if w.last() == 0 {
		if d.Prev != nil || v != (Version{1, 1}) {
			violated("the log begins with %s behind %v", d.ID, d.Prev)
		}
		return
	}
	before := &w.s.bodies[w.last()]
	last := versionOf(before.decision)
	if d.Prev == nil || d.Prev.ID != before.decision.ID || d.Prev.Sha256 != before.sha256 {
		violated("the chain forks: %s stands on %s, and the log ends with %s", d.ID, prevText(d.Prev, before), before.decision.ID)
	}
	if v != (Version{last.Epoch, last.Seq + 1}) && v != (Version{last.Epoch + 1, 1}) {
		violated("%s comes behind %s", d.ID, before.decision.ID)
	}
	for k := range len(w.log) {
		b := w.s.bodies[w.log[k]].decision
		if b.ID == d.ID {
			violated("the log has %s twice", d.ID)
		}
		if b.Epoch == d.Epoch && b.Action == schemas.ActionRollback && w.share(b) == 0 && (w.share(d) > 0 || d.Action == schemas.ActionPromote) {
			violated("epoch %d was rolled back by %s, and %s gives the canary traffic again", d.Epoch, b.ID, d.ID)
		}
	}
}

// share is what the routes of a decision give the canary, in basis points.
func (w *fleet) share(d *schemas.Decision) int {
	for _, r := range d.Routes {
		if r.Version == w.s.terms.Canary {
			return r.WeightBP
		}
	}
	return 0
}

func prevText(p *schemas.Prev, before *bodied) string {
	switch {
	case p == nil:
		return "none"
	case p.ID == before.decision.ID:
		return "another " + p.ID
	}
	return p.ID
}

// checkRest holds a state in which nothing moves by itself to what all must come to.
func (w *fleet) checkRest() {
	if int(w.told) < len(w.s.script) {
		violated("all stands still, and nothing makes the decisions that are to come next")
	}
	last := &w.s.bodies[w.last()]
	if v := versionOf(last.decision); !slices.Contains(w.s.ends, v) {
		violated("all stands still, and the log ends with %s instead of %v", last.decision.ID, w.s.ends)
	}
	newest := uint8(0)
	for k := range len(w.log) {
		if b := &w.s.bodies[w.log[k]]; len(b.decision.Routes) > 0 {
			newest = b.version
		}
	}
	if w.route() == 0 || w.s.bodies[w.route()].version != newest {
		violated("all stands still, and the route document isn't %s", versionText(newest))
	}
	for i := range w.s.consumers {
		if c := &w.consumers[i]; c.does != newest {
			violated("all stands still, and %s does %s; the newest route is %s", w.s.consumerName(i), versionText(c.does), versionText(newest))
		}
	}
	e := &w.engines[0]
	if h := &w.s.heads[e.head]; h.head.State.Wait != nil || h.head.State.Saga != nil && len(h.waits) > 0 {
		violated("all stands still, and engine %d still waits for acks", e.instance)
	}
}

func versionText(v uint8) string { return fmt.Sprintf("%d.%d", v>>4, v&15) }

// A search visits states breadth first, so that the way to what it finds is as short as any.
type search struct {
	seen    map[[sha256.Size]byte]struct{}
	ways    []way
	level   []visit // to be gone on from
	deeper  []visit
	steps   int
	rests   int
	buffer  []byte
	current step
}

// way is how a state was reached first.
type way struct {
	from int32
	step step
}

type visit struct {
	fleet fleet
	way   int32
}

// found is a violation with the way to it.
type found struct {
	what  violation
	story []step
}

// mostStates bounds a search.
const mostStates = 20_000_000

// run visits every state that can be reached, or ends at the first violation.
func (x *search) run(s *scene) (f *found) {
	x.seen = map[[sha256.Size]byte]struct{}{}
	x.add(s.first(), -1, step{})
	at := int32(0)
	defer func() {
		if r := recover(); r != nil {
			v, ok := r.(violation)
			if !ok {
				panic(r)
			}
			f = &found{v, append(x.storyOf(at), x.current)}
		}
	}()
	for len(x.deeper) > 0 {
		x.level, x.deeper = x.deeper, x.level[:0]
		for i := range x.level {
			at = x.level[i].way
			x.goOn(&x.level[i].fleet, at)
		}
		if len(x.seen) > mostStates {
			violated("more than %d states: give it fewer faults", mostStates)
		}
	}
	return nil
}

// goOn makes every step that is possible in a state.
func (x *search) goOn(w *fleet, way int32) {
	rest := true
	play := func(s step, do func(*fleet)) {
		rest = false
		x.current = s
		c := *w
		do(&c)
		c.settle()
		x.steps++
		x.add(&c, way, s)
	}
	w.free(play)
	x.current = step{do: nothingMoves}
	if rest && !w.overdue(play) {
		x.rests++
		w.checkRest()
	}
	w.faulty(play)
}

func (x *search) add(w *fleet, from int32, s step) {
	x.buffer = x.buffer[:0]
	k := w.key(x.buffer)
	if _, known := x.seen[k]; known {
		return
	}
	x.seen[k] = struct{}{}
	x.ways = append(x.ways, way{from, s})
	x.deeper = append(x.deeper, visit{*w, int32(len(x.ways) - 1)})
}

func (x *search) storyOf(at int32) []step {
	if at < 0 || x.ways[at].from < 0 {
		return nil
	}
	return append(x.storyOf(x.ways[at].from), x.ways[at].step)
}

// sceneTerms are a tenth of the traffic, and these routers and stores must answer; other consumers are routers, too.
func sceneTerms(routers string, stores ...string) decisions.Terms {
	t := decisions.Terms{
		Rollout: "r", Model: "m", Baseline: "1", Canary: "2", Mode: schemas.Enforce, Stages: []decisions.StageTerms{{WeightBP: 1000}},
		Routers: strings.Fields(routers), AckWithinMs: 1000, DrainWithinMs: 1000, Sha256: strings.Repeat("a", 64),
	}
	if len(stores) > 0 {
		t.State = decisions.StateTerms{Mode: schemas.StateShared, Stores: stores, AckWithinMs: 1000, Compatible: true}
	}
	return t
}

// rolledBack is a rollout that starts and is rolled back; what would promote it comes too late. retried is one that is rolled back, and may begin anew at any time
// after its start. pillars is one that holds for a pillar, and is rolled back all the same, which a recommendation follows. promoted is one that a person promotes: until its routers have followed, harm
// rolls it back, and then nothing does.
var (
	rolledBack = []cue{{apply: true}, {after: 2, verdict: decisions.VerdictRollback}, {after: 2, verdict: decisions.VerdictPromote}, {after: 2, command: decisions.CommandPromote}}
	retried    = []cue{{apply: true}, {after: 2, verdict: decisions.VerdictRollback}, {after: 2, apply: true}}
	pillars    = []cue{{apply: true}, {after: 2, pillar: decisions.PillarFailed}, {after: 2, verdict: decisions.VerdictRollback}}
	promoted   = []cue{{apply: true}, {after: 2, command: decisions.CommandPromote}, {after: 3, verdict: decisions.VerdictRollback}, {after: 3, command: decisions.CommandRollback}}
)

// scenes share the faults out, so that each one ends: any order of everything is in all of them, and in each one all of its faults are in any order, at any place.
var scenes = []scene{
	{
		name: "two engines that stop between any two effects", terms: sceneTerms("a"), consumers: 1, script: rolledBack, ends: []Version{{1, 3}},
		faults: faults{stops: 1, takeovers: 1, unheard: 1},
	},
	{
		name: "two engines and three consumers", terms: sceneTerms("a"), consumers: 3, script: rolledBack, ends: []Version{{1, 3}},
		faults: faults{takeovers: 1},
	},
	{
		name: "two engines, and three routers that must all answer and whose acks are lost and doubled", terms: sceneTerms("a b c"), consumers: 3, script: rolledBack[:1], ends: []Version{{1, 2}},
		faults: faults{takeovers: 1, lost: 1, doubled: 1},
	},
	{
		name: "two engines, and a router that stops and whose acks are lost and doubled", terms: sceneTerms("a"), consumers: 1, script: rolledBack[:2], ends: []Version{{1, 3}},
		faults: faults{takeovers: 1, restarts: 1, lost: 1, doubled: 1},
	},
	{
		name: "two engines, and a promotion that harm may end", terms: sceneTerms("a"), consumers: 1, script: promoted, ends: []Version{{1, 3}, {1, 4}},
		faults: faults{takeovers: 1, lost: 1, doubled: 1},
	},
	{
		name: "two engines and a pillar that fails", terms: sceneTerms("a"), consumers: 1, script: pillars, ends: []Version{{1, 5}},
		faults: faults{takeovers: 1},
	},
	{
		name: "two routers and a store whose acks are lost and doubled", terms: sceneTerms("a b", "c"), consumers: 3, script: rolledBack, ends: []Version{{1, 6}},
		faults: faults{lost: 2, doubled: 2},
	},
	{
		name: "two routers and a store that stop between any two effects", terms: sceneTerms("a b", "c"), consumers: 3, script: rolledBack, ends: []Version{{1, 6}},
		faults: faults{restarts: 1},
	},
	{
		name: "two epochs of two engines that stop", terms: sceneTerms("a"), consumers: 1, script: retried, ends: []Version{{2, 2}},
		faults: faults{takeovers: 1, stops: 1},
	},
	{
		name: "two epochs of a router that stops and whose acks come late", terms: sceneTerms("a"), consumers: 1, script: retried, ends: []Version{{2, 2}},
		faults: faults{restarts: 1, breaks: 1, lost: 1, doubled: 1, early: 1},
	},
	{
		name: "two engines that stop between any two effects, and three consumers, two of which must answer and whose acks are lost and doubled", terms: sceneTerms("a b"), consumers: 3,
		script: rolledBack[:1], ends: []Version{{1, 2}}, faults: faults{takeovers: 1, stops: 1, lost: 1, doubled: 1},
	},
	{
		name: "two epochs of a router that stops and whose handler fails and refuses", terms: sceneTerms("a"), consumers: 1, script: retried, ends: []Version{{2, 2}},
		faults: faults{restarts: 1, lost: 1, fails: 1, refuses: 1},
	},
}

// TestEveryInterleaving visits every state that an engine or two, and up to three consumers, can get into, whatever comes first and whatever goes wrong within the
// bounds of each scene (scenes), and prints how many there are. In all of them:
//
//   - the decision log is one chain: each decision stands on the one before it, by id and hash, and is the next one of its epoch or the first of the next epoch (checkNext);
//   - a terminal state absorbs: no input leads out of it, nor to another one (scene.take, absorbs), and after a rollback no decision of the epoch gives the canary anything (checkNext);
//   - a consumer carries out nothing that isn't above all that it has noted, nor what is older than what it was given before in the same run, and never goes back to older
//     routes (scene.checkWork, give);
//   - wherever nothing moves by itself, the last decision is published, the route document and every consumer that runs have the newest route, and no ack is waited for
//     (checkRest).
//
// What decides is the code itself: decisions.Head with the state machine, and the follower's fence. What they stand on is a model: the decision subject with its
// expected last sequence and its window of duplicates, which may be over at any time, and the two buckets, as package bus uses them; the journal, and when an engine stores
// and delivers, as cmd/serve does it; and the two readers of a consumer. An ack is in the stream once, by its id; it gets into the journal in any order, and once more where a
// scene says so.
//
// What only one reader will ever see is done in one order (fleet.settle, fleet.listens), and what differs in nothing that can matter is one state. Not in it: wrong keys and
// forged decisions, state stores that fail or refuse, deadlines of the drain, caches, a second rollout of the model, an ack that a process takes in which still judges another
// epoch, a journal or a stream that loses what it had.
//
// One thing a consumer may do: where it stopped between its work and its note, or after its handler had done its work and failed all the same, it carries out what the route document holds, at least what it had noted, before it
// gets from the log what it had done already (consumer.torn).
func TestEveryInterleaving(t *testing.T) {
	if underRace {
		t.Skip("one goroutine: the race detector finds nothing here, and takes minutes")
	}
	states, steps := 0, 0
	for _, s := range scenes {
		t.Run(s.name, func(t *testing.T) {
			x, scene := search{}, newScene(s)
			f := x.run(scene)
			t.Logf("%d states visited, %d steps between them, %d states at rest; at most %s", len(x.seen), x.steps, x.rests, s.faults.text())
			states, steps = states+len(x.seen), steps+x.steps
			if f != nil {
				t.Fatal(scene.tell(f))
			}
			if x.rests == 0 || len(x.seen) < 10_000 {
				t.Errorf("only %d states: the search does not search", len(x.seen))
			}
		})
	}
	t.Logf("%d states visited, %d steps between them", states, steps)
}

// TestTheSearchFinds breaks the model, and looks whether the search tells the story of it.
func TestTheSearchFinds(t *testing.T) {
	if underRace {
		t.Skip("as TestEveryInterleaving")
	}
	for _, test := range []struct {
		name  string
		flaw  flaw
		scene int
		want  string
	}{
		{"a stream that stores whatever comes", expectsNothing, 0, "the chain forks: r.1.1 stands on none, and the log ends with r.1.1"},
		{"an engine that writes over the record of another", writesOver, 0, "all stands still, and the log ends with r.2.2"},
		{"an engine that begins an epoch on what stood there earlier", startsAnyway, 0, "the chain forks: r.1.1 stands on none, and the log ends with r.1.1"},
		{"an engine that doesn't deliver what was left", forgetsOutbox, 0, "the log's last decision is not the record's"},
		{"an engine whose rollouts revive", revives, 0, "epoch 1 was rolled-back, and "},
		{"an engine that rolls back what is promoted", takesBack, 4, "epoch 1 was promoted, and "},
		{"a consumer that looks at nothing that was there before it", forgetsRoute, 7, "all stands still, and "},
		{"a consumer that carries out what is of an older epoch", heedsNoNote, 9, "a carries out r.1.2 from the route document, and has noted that it carried out 2.1"},
		{"a consumer whose fence knows only what it has carried out", heedsNothingSeen, 11, "a carries out r.1.2 from the route document, and was given 1.3 before"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := scenes[test.scene]
			s.flaw = test.flaw
			x, scene := search{}, newScene(s)
			f := x.run(scene)
			if f == nil {
				t.Fatalf("nothing is found in %d states", len(x.seen))
			}
			t.Log(scene.tell(f))
			if !strings.Contains(string(f.what), test.want) {
				t.Errorf("it finds %q, want %q", f.what, test.want)
			}
		})
	}
}
