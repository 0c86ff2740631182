package windows

import (
	"fmt"
	"slices"

	"streamcanary/schemas"
)

// highs has one time per kind of event, and at KindUnknown that of any kind.
type highs = [schemas.KindSample + 1]int64

// kinds are the kinds of events.
var kinds = [...]schemas.Kind{schemas.KindPrediction, schemas.KindOutcome, schemas.KindSample}

// A source is what the stage knows of one source partition.
type source struct {
	at      Partition
	place   int
	carries [schemas.KindSample + 1]bool
	idle    bool

	// high has the highest event time read so far of each kind, or how far it was carried along if that is later: where the
	// partition is idle, and where a kind lags (carryLagging). The watermark of a rollout is this less its lateness. At
	// KindUnknown, it has the highest of all events read.
	high highs
	// lagAt is a time of any kind at which some other kind may have to be carried along.
	lagAt int64
	// outran is set for a kind that was carried along because it lagged, until it comes up again.
	outran [schemas.KindSample + 1]bool
	// seal is the time of each kind at which some rollout can seal its next window.
	seal highs

	lastOffset  int64 // of the record read last, or noOffset
	held        []heldEvent
	ordinary    int // events that were not ahead, since the first of held was held
	checkpoints []checkpoint
	checkAt     int64 // at this high of any kind, another checkpoint is due
	rulings     []IdleRuling
	restored    []IdleRuling // to be applied when reading comes to them
}

// noOffset is before every offset.
const noOffset = int64(-1 << 63)

// A checkpoint is what a source knew before it read the record at an offset, when nothing was held aside.
type checkpoint struct {
	offset int64
	high   highs
}

// maxCheckpoints bounds the checkpoints of a source: at the bound, every other one is dropped.
const maxCheckpoints = 4096

func newSource(at Partition, place int) *source {
	p := &source{at: at, place: place, lastOffset: noOffset, checkAt: NoTime, lagAt: NoTime}
	for k := range p.high {
		p.high[k], p.seal[k] = NoTime, NoTime
	}
	return p
}

// begin is called before an event of the record at an offset is looked at.
func (p *source) begin(offset, step int64) {
	if offset == p.lastOffset {
		return
	}
	if len(p.held) == 0 && p.high[schemas.KindUnknown] >= p.checkAt {
		p.check(offset, step)
	}
	p.lastOffset = offset
}

func (p *source) check(offset, step int64) {
	if len(p.checkpoints) == maxCheckpoints {
		for i := range maxCheckpoints / 2 { // the first one stays: a recovery may need it
			p.checkpoints[i] = p.checkpoints[2*i]
		}
		p.checkpoints = p.checkpoints[:maxCheckpoints/2]
	}
	p.checkpoints = append(p.checkpoints, checkpoint{offset, p.high})
	p.checkAt = NoTime + 1
	if any := p.high[schemas.KindUnknown]; any != NoTime {
		p.checkAt = any + step
	}
}

// minus returns a time less a span; NoTime stays what it is.
func minus(ms, span int64) int64 {
	if ms == NoTime {
		return NoTime
	}
	return ms - span
}

// forever is a watermark that nothing waits for: of a kind that no partition carries, and at the end of all logs.
const forever = int64(1) << 60

// heldEvent is an event that was held aside, with memory of its own.
type heldEvent struct {
	event  schemas.Event
	offset int64
}

// hold keeps a copy of an event aside.
func (p *source) hold(e *schemas.Event, offset int64) {
	if len(p.held) == 0 {
		p.ordinary = 0
	}
	p.held = append(p.held, heldEvent{cloneEvent(e), offset})
}

// confirmed says whether those held aside confirm an event's time, and up to which time. They must outnumber the ordinary ones, and be
// Confirming; or Beginning to agree where the partition has no time yet.
func (p *source) confirmed(ms, jump int64) (high int64, yes bool) {
	need := Confirming
	if slices.Max(p.high[:]) == NoTime {
		need = Beginning
	}
	high, n := p.agreeing(ms, jump)
	if n >= need && n > p.ordinary {
		return high, true
	}
	high, n = p.following(ms, jump)
	return high, n >= Confirming && n > p.ordinary
}

// following returns how many of the events held aside are followed, in the order of their times (back by a jump at most), by others and at last by
// this one, and the latest time of them: so a partition with less than one event an hour confirms itself, too. One that is ahead of what follows it is passed over.
func (p *source) following(ms, jump int64) (high int64, n int) {
	low := ms
	high = NoTime
	for i := len(p.held) - 1; i >= 0; i-- {
		if at := p.held[i].event.TimeMs; at <= low+jump {
			low, high, n = min(low, at), max(high, at), n+1
		}
	}
	return high, n
}

// agreeing returns how many events agree on an event's time, itself and those held aside, and the latest time of them: sorted by time, no
// two neighbours are more than a jump apart. So neither the rate of the events nor an odd clock among them matters.
func (p *source) agreeing(ms, jump int64) (high int64, n int) {
	var room [MaxHeld + 1]int64
	times := room[:0]
	for i := range p.held {
		times = append(times, p.held[i].event.TimeMs)
	}
	times = append(times, ms)
	slices.Sort(times)
	at, _ := slices.BinarySearch(times, ms)
	first, last := at, at
	for first > 0 && times[first]-times[first-1] <= jump {
		first--
	}
	for last < len(times)-1 && times[last+1]-times[last] <= jump {
		last++
	}
	return times[last], last - first + 1
}

// refusal says which event was refused, and why.
func (p *source) refusal(e *schemas.Event, offset int64, why error) error {
	return fmt.Errorf("take %s: partition %v offset %d time %d: %w", e.Kind, p.at, offset, e.TimeMs, why)
}

// cloneEvent returns a copy that shares no memory.
func cloneEvent(e *schemas.Event) schemas.Event {
	c := *e
	for _, b := range []*[]byte{&c.ID, &c.Model, &c.Version, &c.Code, &c.Segment, &c.Host, &c.Region, &c.Unit, &c.Name, &c.EventID} {
		*b = append([]byte(nil), *b...)
	}
	c.Values = append([]schemas.Value(nil), c.Values...)
	for i := range c.Values {
		c.Values[i].Name = append([]byte(nil), c.Values[i].Name...)
	}
	return c
}
