package decisions

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"streamcanary/schemas"
)

// The search below walks every state that two instances of the engine can get one rollout into, when each of them may stop for good or for
// a while between any two effects, and when the answer to any write may be lost after it was stored. It drives Head.Take, Head.Next and
// Head.Delivered as package bus does, against a model of the stream and the buckets.

// world is one state: what is stored, and what each instance has in memory.
type world struct {
	story
	record    []byte // the rollout's record; nil: none
	revision  int
	stream    []Last // the model's decisions
	versions  []version
	written   version // of the route document
	instances [2]instance
	crashes   int // that may still happen
	losses    int // answers that may still be lost
}

type version struct{ epoch, seq int64 }

func (v version) above(w version) bool {
	return v.epoch > w.epoch || v.epoch == w.epoch && v.seq > w.seq
}

// instance is one engine. It begins with what is stored.
type instance struct {
	alive    bool
	head     Head
	revision int
	unsaved  bool // an input was taken, and the record isn't written yet
}

// story is a journal: both instances fold it, each with its own wall clock, so that their bytes differ. Whatever happens, the decisions
// come of it, in order, and this is the route in the end.
type story struct {
	script    []Input
	decisions int
	route     version
	faults    int // crashes, and as many lost answers
}

var stories = map[string]story{
	"one decision at a time, with routes": {[]Input{
		applied(1, terms(weight)), ack(2, 1, "eu", schemas.AckPrepared), verdictOf(5, VerdictHold), verdictOf(6, VerdictRollback),
	}, 4, version{1, 4}, 2},
	"a stage, and a person who rolls it back": {[]Input{
		applied(1, terms(ramp)), ack(2, 1, "eu", schemas.AckPrepared), ack(3, 2, "eu", schemas.AckApplied), verdictOf(5, VerdictAdvance),
		command(6, CommandRollback, false), command(7, CommandPromote, true),
	}, 4, version{1, 4}, 2},
	"a start that a pillar refuses": {[]Input{
		pillared(NewPillar(PillarInput, PillarFailed, []string{"x is gone"})), ack(2, 1, "eu", schemas.AckApplied), verdictOf(5, VerdictRollback),
	}, 1, version{}, 2},
	"an alert that is told twice": {[]Input{
		applied(1, terms(weight, guarded)), ack(2, 1, "eu", schemas.AckPrepared), alarm(5, "page", 4), alarm(6, "page", 4), command(7, CommandPromote, true),
	}, 3, version{1, 3}, 1},
	"a start that a person holds, and lets begin": {[]Input{
		applied(1, terms(weight)), command(2, CommandPause, false), ack(3, 2, "eu", schemas.AckPrepared), command(4, CommandResume, false), verdictOf(5, VerdictRollback),
	}, 4, version{1, 4}, 2},
	"a pillar that fails, holds again, and fails before the harm": {[]Input{
		applied(1, terms(ramp)), ack(2, 1, "eu", schemas.AckPrepared), ack(3, 2, "eu", schemas.AckApplied),
		looked(4, schemaThat(PillarFailed)), looked(5, schemaThat(PillarHeld)), looked(6, schemaThat(PillarFailed)), verdictOf(7, VerdictRollback),
	}, 7, version{1, 7}, 1},
	"a promotion that nothing takes back once its routers have followed": {[]Input{
		applied(1, terms(weight)), ack(2, 1, "eu", schemas.AckPrepared), ack(3, 2, "eu", schemas.AckApplied), command(5, CommandPromote, true), ack(6, 3, "eu", schemas.AckApplied),
		verdictOf(7, VerdictRollback), command(8, CommandRollback, true), ack(9, 3, "eu", schemas.AckFailed),
	}, 3, version{1, 3}, 1},
	"a promotion that harm ends before its routers have followed": {[]Input{
		applied(1, terms(weight)), ack(2, 1, "eu", schemas.AckPrepared), ack(3, 2, "eu", schemas.AckApplied), command(5, CommandPromote, true), verdictOf(7, VerdictRollback),
		ack(8, 3, "eu", schemas.AckApplied), verdictOf(9, VerdictPromote), command(10, CommandPromote, true),
	}, 4, version{1, 4}, 1},
	"two decisions in one outbox": {[]Input{applied(1, terms(advise)), verdictOf(5, VerdictHold), verdictOf(6, VerdictRollback)}, 4, version{}, 2},
	"state that goes back, and a store that is silent at first": {[]Input{
		applied(1, terms(stateful, oneStore)), ack(2, 1, "eu", schemas.AckPrepared), snapped(3, 1, "user"), verdictOf(10, VerdictRollback),
		expire(41, id(1, 3)+"/freeze"), ack(42, 4, "eu", schemas.AckApplied), ack(43, 5, "user", schemas.AckApplied),
	}, 6, version{1, 6}, 1},
	"a person's freeze that a store fails at first": {[]Input{
		applied(1, terms(stateful, oneStore)), ack(2, 1, "eu", schemas.AckPrepared), snapped(3, 1, "user"), command(10, CommandFreeze, false),
		ack(11, 3, "user", schemas.AckFailed), expire(41, id(1, 3)+"/acks"), ack(42, 3, "user", schemas.AckPrepared), command(43, CommandResume, false),
	}, 4, version{1, 4}, 1},
	"writes that are let in while a store is away": {[]Input{
		applied(1, terms(stateful, oneStore)), ack(2, 1, "eu", schemas.AckPrepared), snapped(3, 1, "user"), command(10, CommandFreeze, false), ack(11, 3, "user", schemas.AckApplied),
		command(12, CommandResume, false), command(13, CommandPromote, true), expire(43, id(1, 4)+"/thaw"), ack(44, 5, "user", schemas.AckApplied),
	}, 5, version{1, 5}, 1},
	"harm that can't wait any more while traffic returns in steps": {[]Input{
		applied(1, terms(cached)), ack(2, 1, "eu", schemas.AckPrepared), ack(3, 2, "eu", schemas.AckApplied), verdictOf(5, VerdictRollback),
		ack(6, 3, "eu", schemas.AckApplied), grave(verdictOf(8, VerdictRollback)), ack(9, 4, "eu", schemas.AckApplied),
	}, 4, version{1, 4}, 1},
	"a registry that is overdue, then refuses, then follows": {[]Input{
		applied(1, terms(weight, told)), ack(2, 1, "eu", schemas.AckPrepared), verdictOf(5, VerdictRollback),
		ack(6, 3, "slack", schemas.AckApplied), expire(35, id(1, 3)+"/registry-mlflow"), ack(36, 3, "mlflow", schemas.AckFailed), ack(37, 3, "mlflow", schemas.AckApplied),
	}, 3, version{1, 3}, 1},
	"traffic that returns in steps, and a cache that is warm before the second": {[]Input{
		applied(1, terms(cached)), ack(2, 1, "eu", schemas.AckPrepared), ack(3, 2, "eu", schemas.AckApplied), verdictOf(5, VerdictRollback),
		ack(6, 3, "eu", schemas.AckApplied), answers(7, 200, 190), ack(8, 4, "eu", schemas.AckApplied), expire(400, id(1, 3)+"/warm-50"),
	}, 5, version{1, 5}, 1},
	"a canary whose cache is warmed on its way to all, and harm then": {[]Input{
		applied(1, terms(rising)), ack(2, 1, "eu", schemas.AckPrepared), ack(3, 2, "eu", schemas.AckApplied), verdictOf(5, VerdictAdvance),
		ack(6, 3, "eu", schemas.AckApplied), canaryAnswers(7, 200, 190), verdictOf(8, VerdictAdvance), expire(400, id(1, 4)+"/warm-60"), command(401, CommandRollback, true),
	}, 5, version{1, 5}, 1},
}

// schemaThat is the pillar of the input schema in a state.
func schemaThat(state PillarState) Pillar { return NewPillar(PillarInput, state, nil) }

func (w *world) clone() world {
	c := *w
	c.stream, c.versions = slices.Clone(w.stream), slices.Clone(w.versions)
	return c
}

// sign tells states apart: what is appended stands there so that nothing else looks the same.
type sign []byte

func (s *sign) numbers(all ...int) {
	for _, n := range all {
		*s = binary.AppendVarint(*s, int64(n))
	}
}

func (s *sign) text(t string) {
	s.numbers(len(t))
	*s = append(*s, t...)
}

func (s *sign) truth(all ...bool) {
	for _, is := range all {
		*s = strconv.AppendBool(*s, is)
	}
}

// stored tells apart what is stored: all that a restart goes by.
func (w *world) stored() sign {
	s := make(sign, 0, 1024)
	s.numbers(number(w.record), int(w.written.epoch), int(w.written.seq), len(w.stream))
	for i := range w.stream {
		s.numbers(int(w.stream[i].Sequence))
		s.text(w.stream[i].ID)
		s.text(w.stream[i].Sha256)
	}
	return s
}

// key tells states apart.
func (w *world) key() [sha256.Size]byte {
	s := w.stored()
	s.numbers(w.revision, w.crashes, w.losses)
	for i := range w.instances {
		in := &w.instances[i]
		s.truth(in.alive, in.unsaved)
		s.numbers(in.revision, int(in.head.SubjectSeq), int(in.head.State.Seq), position(&in.head), len(in.head.Outbox))
		s.text(in.head.Writer)
		for j := range in.head.Outbox {
			e := &in.head.Outbox[j]
			s.text(e.ID)
			s.truth(e.Published)
			s.numbers(number(e.Body))
		}
	}
	return sha256.Sum256(s)
}

// start gives an instance what is stored.
func (w *world) start(i int) {
	in := &w.instances[i]
	*in = instance{alive: true, head: NewHead(uint64(len(w.stream))), revision: w.revision}
	if w.record != nil {
		in.head = headIn(w.record)
	}
}

func position(h *Head) int {
	if len(h.Offsets) == 0 {
		return 0
	}
	return int(h.Offsets[0].Offset)
}

// take folds the next input of the script.
func (w *world) take(i int) {
	in := &w.instances[i]
	at := position(&in.head)
	input := w.script[at]
	input.WallMs += int64(i)
	head, _, err := in.head.Take(input)
	if err != nil {
		panic(err)
	}
	if was, is := in.head.State.Status, head.State.Status; !absorbs(was, is) {
		panic(fmt.Sprintf("it was %s, and %s makes it %s", was, input.Kind, is))
	}
	head.Offsets = []Offset{{0, int64(at + 1)}}
	head.Writer = fmt.Sprint(i)
	in.head, in.unsaved = head, true
}

// absorbs reports whether a status may follow on another: once an epoch has ended, it stays so as it has. Only a rollback may stand still until its stores freeze, and then goes on.
func absorbs(was, is Status) bool {
	rollback := func(s Status) bool { return s == StatusRolledBack || s == StatusFrozen }
	return !was.Ended() || was == is || rollback(was) && rollback(is)
}

// save writes the record by compare-and-set. Where its answer is lost, the instance will try again.
func (w *world) save(i int, lost bool) {
	in := &w.instances[i]
	value, err := EncodeHead(in.head)
	if err != nil {
		panic(err)
	}
	switch {
	case w.revision == in.revision:
		w.record, w.revision = value, w.revision+1
	case !bytes.Equal(w.record, value):
		in.alive = false // another wrote it: stop deciding
		return
	}
	if !lost {
		in.revision, in.unsaved = w.revision, false
	}
}

// deliver does the next delivery.
func (w *world) deliver(i int, lost bool) {
	in := &w.instances[i]
	d, _ := in.head.Next()
	var receipt Receipt
	switch d.Do {
	case DoPublish:
		receipt = w.publish(d)
	case DoRoute:
		if v := versionOfBody(d.Body); v.above(w.written) {
			w.written = v
		}
	}
	if lost {
		return
	}
	head, err := in.head.Delivered(receipt)
	if errors.Is(err, ErrFenced) {
		in.alive = false
		return
	}
	if err != nil {
		panic(err)
	}
	in.head = head
}

// publish is what JetStream does, with the read-back.
func (w *world) publish(d Delivery) Receipt {
	if d.Expect != uint64(len(w.stream)) {
		last := Last{}
		if len(w.stream) > 0 {
			last = w.stream[len(w.stream)-1]
		}
		return Receipt{Last: &last}
	}
	w.stream = append(w.stream, Last{Sequence: uint64(len(w.stream) + 1), ID: d.ID, Sha256: BodySha256(d.Body)})
	w.versions = append(w.versions, versionOfBody(d.Body))
	return Receipt{Sequence: uint64(len(w.stream))}
}

// The same few records and bodies come up in all states: each is read once.
var (
	readRecords = map[string]Head{}
	readBodies  = map[string]version{}
)

// numbers names each different text by a number: states are told apart by these.
var numbers = map[string]int{}

func number(text []byte) int {
	n, known := numbers[string(text)]
	if !known {
		n = len(numbers) + 1
		numbers[string(text)] = n
	}
	return n
}

func headIn(record []byte) Head {
	head, read := readRecords[string(record)]
	if !read {
		var err error
		if head, err = DecodeHead(record); err != nil {
			panic(err)
		}
		readRecords[string(record)] = head
	}
	return head
}

func versionOfBody(body []byte) version {
	v, read := readBodies[string(body)]
	if !read {
		d, err := schemas.DecodeDecision(body)
		if err != nil {
			panic(err)
		}
		v = version{d.Epoch, d.Seq}
		readBodies[string(body)] = v
	}
	return v
}

// next are the states that one step leads to.
func (w *world) next() []world {
	var out []world
	step := func(do func(*world)) {
		c := w.clone()
		do(&c)
		out = append(out, c)
	}
	for i := range w.instances {
		in := &w.instances[i]
		if !in.alive {
			if w.crashes > 0 {
				step(func(c *world) { c.start(i) })
			}
			continue
		}
		if w.crashes > 0 {
			step(func(c *world) { c.instances[i] = instance{}; c.crashes-- })
		}
		_, more := in.head.Next()
		for _, lost := range []bool{false, true} {
			if lost && w.losses == 0 {
				continue
			}
			spend := func(c *world) {
				if lost {
					c.losses--
				}
			}
			switch {
			case in.unsaved:
				step(func(c *world) { spend(c); c.save(i, lost) })
			case more:
				step(func(c *world) { spend(c); c.deliver(i, lost) })
			case !lost && position(&in.head) < len(w.script):
				step(func(c *world) { c.take(i) })
			}
		}
	}
	return out
}

// check holds a state to what must be true in every one.
func (w *world) check() error {
	for i, v := range w.versions {
		if v != (version{1, int64(i + 1)}) || w.stream[i].ID != id(1, int64(i+1)) {
			return fmt.Errorf("decision %d of the log is %s: twice, or one is missing", i+1, w.stream[i].ID)
		}
	}
	last := version{}
	if n := len(w.versions); n > 0 {
		last = w.versions[n-1]
	}
	if w.written.above(last) {
		return fmt.Errorf("the route %v is newer than the log %v", w.written, last)
	}
	stored := int64(0)
	if w.record != nil {
		head := headIn(w.record)
		stored = head.State.Seq
	}
	if last.seq > stored {
		return fmt.Errorf("decision %d is published, and the record knows only %d", last.seq, stored)
	}
	return nil
}

// settles lets one instance begin anew and run to the end alone: the log must end up whole.
func (w *world) settles() error {
	c := w.clone()
	c.instances = [2]instance{}
	c.start(0)
	for c.instances[0].alive {
		in := &c.instances[0]
		if in.unsaved {
			c.save(0, false)
		} else if _, more := in.head.Next(); more {
			c.deliver(0, false)
		} else if position(&in.head) < len(w.script) {
			c.take(0)
		} else {
			break
		}
	}
	if !c.instances[0].alive || len(c.stream) != w.decisions || c.written != w.route {
		return fmt.Errorf("a restart ends with %d decisions, route %v, alive %v", len(c.stream), c.written, c.instances[0].alive)
	}
	return c.check()
}

// TestEveryCrash visits every state that can be reached with two instances, two crashes and two lost answers (one each in the longest story).
func TestEveryCrash(t *testing.T) {
	for name, s := range stories {
		t.Run(name, func(t *testing.T) { searchAll(t, s) })
	}
}

func searchAll(t *testing.T, s story) {
	begin := world{story: s, crashes: s.faults, losses: s.faults}
	begin.start(0)
	begin.start(1)
	seen := map[[sha256.Size]byte]bool{begin.key(): true}
	queue := []world{begin}
	steps, ended := 0, 0
	settled := map[string]bool{}
	for len(queue) > 0 {
		w := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		err := w.check()
		if stored := string(w.stored()); err == nil && !settled[stored] {
			settled[stored] = true
			err = w.settles()
		}
		if err != nil {
			t.Fatalf("%v\nlog %+v\nrecord %s", err, w.stream, w.record)
		}
		next := w.next()
		if len(next) == 0 {
			ended++
		}
		for _, n := range next {
			steps++
			if k := n.key(); !seen[k] {
				seen[k] = true
				queue = append(queue, n)
			}
		}
	}
	t.Logf("%d states visited, %d steps, %d ends, restarted from %d different records and logs", len(seen), steps, ended, len(settled))
	if len(seen) < 1000 {
		t.Errorf("only %d states: the search does not search", len(seen))
	}
}

// TestFenced: an entry of somebody else on the subject, or one's own id with other bytes, is a fence.
func TestFenced(t *testing.T) {
	h, _, err := NewHead(3).Take(applied(1, terms()))
	if err != nil {
		t.Fatal(err)
	}
	own := h.Outbox[0]
	for name, test := range map[string]struct {
		last Last
		want error
	}{
		"own":                    {Last{4, own.ID, BodySha256(own.Body)}, nil},
		"another's":              {Last{4, "other.1.1", BodySha256(own.Body)}, ErrFenced},
		"own id, another's text": {Last{4, own.ID, BodySha256(binary.BigEndian.AppendUint64(nil, 1))}, ErrFenced},
	} {
		t.Run(name, func(t *testing.T) {
			have, err := h.Delivered(Receipt{Last: &test.last})
			if !errors.Is(err, test.want) || test.want == nil && err != nil {
				t.Fatalf("error %v, want %v", err, test.want)
			}
			if err == nil && (have.SubjectSeq != 4 || len(have.Outbox) != 0) {
				t.Errorf("record %+v", have)
			}
			if len(h.Outbox) != 1 || h.Outbox[0].Published {
				t.Error("the record that was given was changed")
			}
		})
	}
	if _, err := NewHead(0).Delivered(Receipt{}); err == nil {
		t.Error("an empty outbox delivers")
	}
}
