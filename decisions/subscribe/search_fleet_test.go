package subscribe

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// fleet is one state of the search: what is stored, what every process has in standing, and what is on its way. Heads, bodies and inputs are named by their numbers in the
// scene, versions by one byte (see small).
type fleet struct {
	s *scene

	journal string // inputs, from the first that anybody may still read
	log     string // bodies of the decision subject; a stream sequence is a place in it, from 1
	docs    string // bodies that were written to the route document, from the first that is still to be given; the last one stands there
	record  record

	told    uint8 // cues of the script
	applied uint8 // applications of the rollout that people have made
	begun   uint8 // engines so far

	engines   [2]engine
	consumers [most]consumer
	left      faults
}

// most is how many consumers a scene has.
const most = 3

// faults are what may still go wrong.
type faults struct {
	stops     uint8 // an engine stops
	takeovers uint8 // an engine begins while another one runs
	unheard   uint8 // the answer to a publish, or to a write of the record, is lost
	restarts  uint8 // a consumer stops
	breaks    uint8 // a consumer's reader breaks off, and begins again with what stands there then
	lost      uint8 // an ack is not sent
	doubled   uint8 // an ack is taken in once more, at any later time
	early     uint8 // a deadline passes although everybody is at work
	fails     uint8 // a handler fails
	refuses   uint8 // a handler refuses
}

// text are the faults for people.
func (f *faults) text() string {
	var all []string
	for _, x := range []struct {
		n    uint8
		what string
	}{
		{f.stops, "engines that stop"}, {f.takeovers, "engines that begin beside another"}, {f.unheard, "answers to a write that are lost"}, {f.restarts, "consumers that stop"},
		{f.breaks, "readers that begin again"}, {f.lost, "lost acks"}, {f.doubled, "doubled acks"}, {f.early, "early deadlines"},
		{f.fails, "handlers that fail"}, {f.refuses, "handlers that refuse"},
	} {
		if x.n > 0 {
			all = append(all, fmt.Sprintf("%d %s", x.n, x.what))
		}
	}
	return strings.Join(all, ", ")
}

// record is the rollout's; the zero value: there is none. Its bytes differ exactly if this does: the head's are all there but the writer and the offset.
type record struct {
	head       uint16
	writer, at uint8
}

// small is a version in one byte: epoch and seq.
func small(v Version) uint8 {
	if v.Epoch > 15 || v.Seq > 15 {
		panic(fmt.Sprintf("version %v is too large for the search", v))
	}
	return uint8(v.Epoch)<<4 | uint8(v.Seq)
}

func large(v uint8) Version { return Version{int64(v >> 4), int64(v & 15)} }

// scene is what is searched: a rollout, what comes from outside, and how much may go wrong. It also numbers what comes up.
type scene struct {
	name      string
	terms     decisions.Terms
	consumers int // named a, b, c
	script    []cue
	faults    faults
	ends      []Version // the last decision is one of these
	flaw      flaw      // of the model: for the test of the search itself

	headNumbers, bodyNumbers, inputNumbers map[string]int
	ackNumbers                             [most][256][kindsOfAnswers + 1]uint8 // of an answer to a body; 0: it hasn't come up
	heads                                  []headed
	bodies                                 []bodied
	inputs                                 []journaled
	takes                                  map[taking]took
	deliveries                             map[delivery]uint16
	weighings                              map[weighing]weighed
}

// cue is one thing that comes from outside, once so many decisions are published. Exactly one of its other fields is set.
type cue struct {
	after   int
	apply   bool // a person applies the rollout, the first time or anew
	verdict decisions.VerdictAction
	command decisions.CommandKind // with force
	pillar  decisions.PillarState // of the input schema, by somebody who has looked
}

// headed is a head, and what it does next.
type headed struct {
	head  decisions.Head
	more  bool
	next  decisions.Delivery
	body  uint8 // of next
	waits []decisions.Deadline
}

type bodied struct {
	body     []byte
	decision *schemas.Decision
	version  uint8
	sha256   string
}

// journaled is an input as it stands in the journal: only the engine that judges its epoch takes it, and the start of an epoch only the one that asked for it.
type journaled struct {
	in    decisions.Input
	epoch int64
	asker uint8 // of a start: the engine
}

func newScene(s scene) *scene {
	s.headNumbers, s.bodyNumbers, s.inputNumbers = map[string]int{}, map[string]int{}, map[string]int{}
	s.heads, s.bodies, s.inputs = make([]headed, 1), make([]bodied, 1), make([]journaled, 1)
	s.takes, s.deliveries, s.weighings = map[taking]took{}, map[delivery]uint16{}, map[weighing]weighed{}
	return &s
}

// first is the state in which the search begins: one engine runs, nothing is stored, nothing was asked for.
func (s *scene) first() *fleet {
	w := &fleet{s: s, left: s.faults}
	w.beginEngine(0)
	for i := range s.consumers {
		w.consumers[i] = consumer{runs: true, opened: true}
	}
	return w
}

// headNumber numbers a head. Who answered what is taken out of it where nobody fails or refuses: it is for show then, nothing is decided by it.
func (s *scene) headNumber(h decisions.Head) uint16 {
	if s.faults.fails+s.faults.refuses == 0 {
		h.State.Answers = nil
	}
	text, err := decisions.EncodeHead(h)
	if err != nil {
		panic(err)
	}
	n, known := s.headNumbers[string(text)]
	if !known {
		n = len(s.heads)
		s.headNumbers[string(text)] = n
		x := headed{head: h}
		x.next, x.more = h.Next()
		if len(x.next.Body) > 0 && x.next.Do != decisions.DoNotify {
			x.body = s.bodyNumber(x.next.Body)
		}
		for _, d := range h.State.Deadlines() {
			if !strings.HasSuffix(d.ID, "/"+string(decisions.StepVerify)) && !strings.HasSuffix(d.ID, "/retired") { // traffic ends these, and there is none here
				x.waits = append(x.waits, d)
			}
		}
		s.heads = append(s.heads, x)
	}
	if n > 1<<16-1 {
		panic("too many heads for the search")
	}
	return uint16(n)
}

func (s *scene) bodyNumber(body []byte) uint8 {
	n, known := s.bodyNumbers[string(body)]
	if !known {
		d, err := schemas.DecodeDecision(body)
		if err != nil {
			panic(err)
		}
		n = byteSized(len(s.bodies), "bodies")
		s.bodyNumbers[string(body)] = n
		s.bodies = append(s.bodies, bodied{body, d, small(versionOf(d)), decisions.BodySha256(body)})
	}
	return uint8(n)
}

func (s *scene) inputNumber(j journaled) uint8 {
	text, err := decisions.EncodeInput(j.in)
	if err != nil {
		panic(err)
	}
	name := fmt.Sprint(j.epoch, j.asker, string(text))
	n, known := s.inputNumbers[name]
	if !known {
		n = byteSized(len(s.inputs), "inputs")
		s.inputNumbers[name] = n
		s.inputs = append(s.inputs, j)
	}
	return uint8(n)
}

func byteSized(n int, of string) int {
	if n > 255 {
		panic("too many " + of + " for the search: give it fewer faults")
	}
	return n
}

// last is the number of the last decision of the log; 0: there is none.
func (w *fleet) last() uint8 { return last(w.log) }

// route is the number of the decision in the route document; 0: there is none.
func (w *fleet) route() uint8 { return last(w.docs) }

func last(list string) uint8 {
	if list == "" {
		return 0
	}
	return list[len(list)-1]
}

// append puts an input at the end of the journal.
func (w *fleet) append(j journaled) { w.journal += string([]byte{w.s.inputNumber(j)}) }

// settle does at once what may be done in one fixed order, and brings states that differ in nothing that matters to one form.
//
// An engine's reading of the journal: what it reads depends on nobody else, and changes only its standing, which nobody else sees, and which is lost if it stops.
// The start of an epoch is left out of that, since the stream and the record are looked at then. A notice: nobody here reads any. A message that a consumer
// passes over: once it is below what was seen it stays so for as long as the consumer runs, and after that both readers begin anew.
func (w *fleet) settle() {
	for i := range w.engines {
		w.readOn(i)
	}
	if w.engines[0].instance == 0 {
		w.engines[0], w.engines[1] = w.engines[1], w.engines[0]
	}
	for i := range w.s.consumers {
		w.passOver(i)
	}
	w.dropIdle()
	w.trim()
}

// trim forgets what everybody has read.
func (w *fleet) trim() {
	from := uint8(len(w.journal))
	if w.record.head != 0 {
		from = min(from, w.record.at)
	}
	for i := range w.engines {
		if w.engines[i].instance != 0 {
			from = min(from, w.engines[i].at)
		}
	}
	w.journal = w.journal[from:]
	if w.record.head != 0 {
		w.record.at -= from
	}
	for i := range w.engines {
		if w.engines[i].instance != 0 {
			w.engines[i].at -= from
		}
	}
	given := uint8(max(1, len(w.docs)) - 1)
	for i := range w.s.consumers {
		if w.consumers[i].runs {
			given = min(given, w.consumers[i].doc)
		}
	}
	w.docs = w.docs[given:]
	for i := range w.s.consumers {
		if w.consumers[i].runs {
			w.consumers[i].doc -= given
		}
	}
}

// key tells states apart.
func (w *fleet) key(b []byte) [sha256.Size]byte {
	b = append(b[:0], uint8(len(w.journal)), uint8(len(w.log)), uint8(len(w.docs)))
	b = append(append(append(b, w.journal...), w.log...), w.docs...)
	b = append(binary.BigEndian.AppendUint16(b, w.record.head), w.record.writer, w.record.at, w.told, w.applied, w.begun)
	l := &w.left
	b = append(b, l.stops, l.takeovers, l.unheard, l.restarts, l.breaks, l.lost, l.doubled, l.early, l.fails, l.refuses)
	for i := range w.engines {
		e := &w.engines[i]
		b = append(binary.BigEndian.AppendUint16(b, e.head), e.instance, e.at, uint8(e.phase), e.asked, bit(e.current))
	}
	for i := range w.s.consumers {
		c := &w.consumers[i]
		b = append(b, c.applied, c.routes, c.seen, c.routeSeen, c.log, c.doc, c.does, c.pending,
			bit(c.runs)|bit(c.opened)<<1|bit(c.fresh)<<2|bit(c.restored)<<3|bit(c.snapshot)<<4|bit(c.torn)<<5|bit(c.pendingRestored)<<6)
		b = append(append(b, uint8(len(c.behind))), c.behind...)
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, c.flying), c.taken)
	}
	return sha256.Sum256(b)
}

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
