package subscribe

import (
	"fmt"
	"strings"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// flaw is something wrong with the model that a search must find.
type flaw uint8

const (
	flawless         flaw = iota
	expectsNothing        // the stream stores whatever comes, whatever was expected
	writesOver            // an engine writes the record whoever has written it meanwhile
	startsAnyway          // an engine begins an epoch whatever was decided, or written, since it asked for that
	forgetsOutbox         // an engine doesn't deliver what the one before it had left
	revives               // an engine lets what is rolled back run again
	takesBack             // an engine rolls back what is promoted
	forgetsRoute          // a consumer that begins again waits for the next decision, and looks at nothing that was there before
	heedsNoNote           // a consumer carries out what is of an older epoch than what it has noted
	heedsNothingSeen      // a consumer carries out what is older than what it was given, and has not carried out
)

// step is one thing that happens: who does it, and to what.
type step struct {
	do   doing
	who  uint8 // an engine's instance, or a consumer
	what uint8 // number of a body, an input or a cue
}

type doing uint8

const (
	nothingMoves doing = iota
	comes
	asks
	starts
	saves
	savesUnheard
	publishes
	publishesUnheard
	publishesTwice
	routes
	routesAgain
	begins
	takesOver
	stops
	expires
	readsLog
	readsDocument
	readsItself
	readsLine
	unsentLog
	unsentDocument
	unsentItself
	unsentLine
	unnotedLog
	unnotedDocument
	unnotedItself
	unnotedLine
	notedLog
	notedDocument
	notedItself
	notedLine
	failsLog
	failsDocument
	failsItself
	failsLine
	refusesLog
	refusesDocument
	refusesItself
	refusesLine
	restarts
	halts
	opens
	reopensLog
	reopensDocument
	arrives
	arrivesAgain
)

type player func(step, func(*fleet))

// free are the steps that need nothing to go wrong: as long as there is one, things go on.
func (w *fleet) free(play player) {
	if n := w.told; int(n) < len(w.s.script) && len(w.log) >= w.s.script[n].after && w.listens() {
		play(step{comes, 0, n}, func(c *fleet) { c.come() })
	}
	if w.engines[0].instance == 0 {
		play(step{begins, w.begun + 1, 0}, func(c *fleet) { c.beginEngine(0) })
	}
	for i := range w.engines {
		w.freeEngine(i, play)
	}
	for i := range w.s.consumers {
		w.freeConsumer(i, play)
	}
	if !w.listens() {
		return
	}
	w.acks(flying, func(i, place int, a answered) {
		play(step{arrives, uint8(i), w.ack(i, place, a)}, func(c *fleet) { c.arrive(i, place, a) })
	})
}

// listens reports whether an engine has read the whole journal, and would read more. What comes into the journal before that may as well come then: nobody sees it
// earlier, and it is read in its order.
func (w *fleet) listens() bool {
	for i := range w.engines {
		if e := &w.engines[i]; e.instance != 0 && e.phase == reading && int(e.at) == len(w.journal) {
			return true
		}
	}
	return false
}

// come tells the next cue.
func (w *fleet) come() {
	cue := w.s.script[w.told]
	w.told++
	in := decisions.Input{EventMs: wall, WallMs: wall}
	switch {
	case cue.apply:
		w.applied++
		return
	case cue.verdict != "":
		in.Kind = decisions.InputVerdict
		in.Verdict = &decisions.Verdict{Action: cue.verdict, Reason: schemas.Reason{Code: "evidence", Sentence: "By the evidence."}}
	case cue.pillar != "":
		in.Kind = decisions.InputPillars
		in.Pillars = &decisions.Checked{Pillars: []decisions.Pillar{decisions.NewPillar(decisions.PillarInput, cue.pillar, nil)}}
	default:
		in.Kind = decisions.InputCommand
		in.Command = &decisions.Command{Do: cue.command, Actor: schemas.Actor{Kind: "person", Name: "ada"}, Force: true}
	}
	w.append(journaled{in, 1, 0})
}

func (w *fleet) freeEngine(i int, play player) {
	e := &w.engines[i]
	if e.instance == 0 {
		return
	}
	h := &w.s.heads[e.head]
	switch {
	case e.phase == saving:
		play(step{saves, e.instance, 0}, func(c *fleet) { c.save(i, false) })
	case e.phase == delivering:
		verb := map[decisions.Do]doing{decisions.DoPublish: publishes, decisions.DoRoute: routes, decisions.DoAgain: routesAgain}[h.next.Do]
		play(step{verb, e.instance, h.body}, func(c *fleet) { c.deliver(i, heard) })
		if w.twice(h) {
			play(step{publishesTwice, e.instance, h.body}, func(c *fleet) { c.deliver(i, forgets) })
		}
	case int(e.at) < len(w.journal):
		play(step{starts, e.instance, w.journal[e.at]}, func(c *fleet) { c.start(i) })
	case e.asked == 0 && w.applied > w.s.application(e.head):
		play(step{asks, e.instance, 0}, func(c *fleet) { c.apply(i) })
	}
}

func (w *fleet) freeConsumer(i int, play player) {
	c, who := &w.consumers[i], uint8(i)
	if !c.runs {
		play(step{restarts, who, 0}, func(c *fleet) { c.beginConsumer(i) })
		return
	}
	if !c.opened {
		play(step{opens, who, 0}, func(c *fleet) { c.openLog(i) })
	}
	for from := range sources {
		if body, _, any := w.next(i, from); any {
			play(step{readsLog + doing(from), who, body}, func(c *fleet) { c.give(i, from, whole) })
		}
	}
}

// overdue lets a deadline pass, and reports whether there was one.
func (w *fleet) overdue(play player) bool {
	any := false
	for i := range w.engines {
		if e := &w.engines[i]; e.instance != 0 && len(w.s.heads[e.head].waits) > 0 {
			any = true
			play(step{expires, e.instance, 0}, func(c *fleet) { c.expire(i) })
		}
	}
	return any
}

// faulty are the steps in which something goes wrong.
func (w *fleet) faulty(play player) {
	for i := range w.engines {
		w.faultyEngine(i, play)
	}
	for i := range w.s.consumers {
		w.faultyConsumer(i, play)
	}
	if w.left.doubled > 0 && w.listens() {
		w.acks(taken, func(i, place int, a answered) {
			if !w.idle(i, place, a) {
				play(step{arrivesAgain, uint8(i), w.ack(i, place, a)}, func(c *fleet) { c.left.doubled--; c.arrive(i, place, a) })
			}
		})
	}
}

func (w *fleet) faultyEngine(i int, play player) {
	e := &w.engines[i]
	if e.instance == 0 {
		if i > 0 && w.left.takeovers > 0 && w.engines[0].instance != 0 {
			play(step{takesOver, w.begun + 1, 0}, func(c *fleet) { c.left.takeovers--; c.beginEngine(i) })
		}
		return
	}
	h := &w.s.heads[e.head]
	if w.left.stops > 0 {
		play(step{stops, e.instance, 0}, func(c *fleet) { c.left.stops--; c.engines[i] = engine{} })
	}
	if w.left.unheard > 0 && e.phase == saving {
		play(step{savesUnheard, e.instance, 0}, func(c *fleet) { c.left.unheard--; c.save(i, true) })
	}
	if w.left.unheard > 0 && e.phase == delivering && h.next.Do == decisions.DoPublish {
		play(step{publishesUnheard, e.instance, h.body}, func(c *fleet) { c.left.unheard--; c.deliver(i, unheard) })
	}
	if w.left.early > 0 && e.phase == reading && len(h.waits) > 0 {
		play(step{expires, e.instance, 0}, func(c *fleet) { c.left.early--; c.expire(i) })
	}
}

func (w *fleet) faultyConsumer(i int, play player) {
	k, who := &w.consumers[i], uint8(i)
	if !k.runs {
		return
	}
	if w.left.restarts > 0 {
		play(step{halts, who, 0}, func(c *fleet) { c.left.restarts--; c.stopConsumer(i) })
	}
	if w.left.breaks > 0 && k.opened && w.log != "" {
		play(step{reopensLog, who, 0}, func(c *fleet) { c.left.breaks--; c.openLog(i) })
	}
	if w.left.breaks > 0 && w.docs != "" {
		play(step{reopensDocument, who, 0}, func(c *fleet) { c.left.breaks--; c.reopenDocument(i) })
	}
	for from := range sources {
		body, x, any := w.next(i, from)
		if !any {
			continue
		}
		if w.left.lost > 0 && x.answer != noAnswer {
			play(step{unsentLog + doing(from), who, body}, func(c *fleet) { c.left.lost--; c.give(i, from, unsent) })
		}
		if w.left.restarts > 0 && x.worked {
			play(step{unnotedLog + doing(from), who, body}, func(c *fleet) { c.left.restarts--; c.give(i, from, unnoted) })
			play(step{notedLog + doing(from), who, body}, func(c *fleet) { c.left.restarts--; c.give(i, from, noted) })
		}
		if w.left.fails > 0 && x.worked {
			play(step{failsLog + doing(from), who, body}, func(c *fleet) { c.left.fails--; c.give(i, from, failed) })
		}
		if w.left.refuses > 0 && x.worked {
			play(step{refusesLog + doing(from), who, body}, func(c *fleet) { c.left.refuses--; c.give(i, from, refused) })
		}
	}
}

// words say what happens: what is in capitals stands for a name.
var words = map[doing]string{
	nothingMoves:     "nothing moves any more",
	comes:            "from outside: CUE",
	asks:             "engine ENGINE journals the start of the next epoch",
	starts:           "engine ENGINE reads that start back, and begins the epoch",
	saves:            "engine ENGINE writes the record",
	savesUnheard:     "engine ENGINE writes the record, and doesn't hear that it is written",
	publishes:        "engine ENGINE publishes DECISION, or finds it there",
	publishesUnheard: "engine ENGINE publishes DECISION, and doesn't hear that it is stored",
	publishesTwice:   "engine ENGINE publishes DECISION, whose id the stream has forgotten",
	routes:           "engine ENGINE makes DECISION the route document, unless that is as new",
	routesAgain:      "engine ENGINE writes the route document again",
	begins:           "engine ENGINE begins, as none runs",
	takesOver:        "engine ENGINE begins, though another one runs",
	stops:            "engine ENGINE stops",
	expires:          "engine ENGINE journals that the deadline of its wait has passed",
	readsLog:         "CONSUMER carries out or answers DECISION from the log",
	readsDocument:    "CONSUMER carries out or answers DECISION from the route document",
	readsItself:      "CONSUMER tries DECISION again, which its handler had failed at",
	readsLine:        "CONSUMER carries out or answers DECISION whose turn has come behind another one",
	unsentLog:        "CONSUMER carries out DECISION from the log, and its answer is lost",
	unsentDocument:   "CONSUMER carries out DECISION from the route document, and its answer is lost",
	unsentItself:     "CONSUMER tries DECISION again, which its handler had failed at, and its answer is lost",
	unsentLine:       "CONSUMER carries out DECISION whose turn has come behind another one, and its answer is lost",
	unnotedLog:       "CONSUMER carries out DECISION from the log, and stops before it notes that",
	unnotedDocument:  "CONSUMER carries out DECISION from the route document, and stops before it notes that",
	unnotedItself:    "CONSUMER tries DECISION again, which its handler had failed at, and stops before it notes that",
	unnotedLine:      "CONSUMER carries out DECISION whose turn has come behind another one, and stops before it notes that",
	notedLog:         "CONSUMER carries out DECISION from the log, notes that, and stops before it answers",
	notedDocument:    "CONSUMER carries out DECISION from the route document, notes that, and stops before it answers",
	notedItself:      "CONSUMER tries DECISION again, which its handler had failed at, notes that, and stops before it answers",
	notedLine:        "CONSUMER carries out DECISION whose turn has come behind another one, notes that, and stops before it answers",
	failsLog:         "CONSUMER does DECISION from the log, and its handler fails at the end",
	failsDocument:    "CONSUMER does DECISION from the route document, and its handler fails at the end",
	failsItself:      "CONSUMER tries DECISION again, and its handler fails at the end once more",
	failsLine:        "CONSUMER does DECISION whose turn has come behind another one, and its handler fails at the end",
	refusesLog:       "CONSUMER refuses DECISION from the log",
	refusesDocument:  "CONSUMER refuses DECISION from the route document",
	refusesItself:    "CONSUMER refuses DECISION, which its handler had failed at",
	refusesLine:      "CONSUMER refuses DECISION whose turn has come behind another one",
	restarts:         "CONSUMER begins again, and reads the route document",
	halts:            "CONSUMER stops",
	opens:            "CONSUMER reads the log from its last decision on",
	reopensLog:       "CONSUMER loses the log, and reads it again from its last decision on",
	reopensDocument:  "CONSUMER loses the route document, and reads it again",
	arrives:          "the journal gets INPUT",
	arrivesAgain:     "the journal gets INPUT once more",
}

// tell is a violation for people.
func (s *scene) tell(f *found) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", f.what)
	for n, x := range f.story {
		fmt.Fprintf(&b, "%3d. %s\n", n+1, s.stepText(x))
	}
	return b.String()
}

func (s *scene) stepText(x step) string {
	pairs := []string{"ENGINE", fmt.Sprint(x.who), "CONSUMER", s.consumerName(int(x.who))}
	switch x.do {
	case comes:
		c := &s.script[x.what]
		pairs = append(pairs, "CUE", c.text())
	case arrives, arrivesAgain:
		pairs = append(pairs, "INPUT", s.inputText(x.what))
	default:
		if int(x.what) < len(s.bodies) && x.what > 0 {
			d := s.bodies[x.what].decision
			pairs = append(pairs, "DECISION", fmt.Sprintf("%s (%s %s)", d.ID, d.Action, d.Phase))
		}
	}
	return strings.NewReplacer(pairs...).Replace(words[x.do])
}

func (c *cue) text() string {
	switch {
	case c.apply:
		return "a person applies the rollout"
	case c.verdict != "":
		return "the evidence says " + string(c.verdict)
	case c.pillar != "":
		return "a pillar is found to be " + string(c.pillar)
	}
	return "a person says " + string(c.command)
}

func (s *scene) inputText(n uint8) string {
	in := s.inputs[n].in
	switch {
	case in.Ack != nil:
		return fmt.Sprintf("the answer of %s to %s: %s", in.Ack.Consumer, in.Ack.Decision, in.Ack.Status)
	case in.Verdict != nil:
		return "verdict " + string(in.Verdict.Action)
	case in.Command != nil:
		return "command " + string(in.Command.Do)
	case in.Pillars != nil:
		return "pillar " + string(in.Pillars.Pillars[0].State)
	}
	return string(in.Kind)
}
