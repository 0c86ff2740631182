package windows

import (
	"math"

	"github.com/cespare/xxhash/v2"

	"streamcanary/schemas"
)

// Values of outcomes are added up per prediction, and the sum counts up to the plan's cap. All of it is in integers, so that neither the order in which
// outcomes come nor a restart reaches the result. A prediction that has a value other than zero takes an entry of 24 bytes in a table of its own (40 to 50
// bytes of memory, as in the others), an outcome another in that of remembered ids.

// valueMax is how many caps the value of one outcome counts as at most, either way: so that sums can't run over. A cap is SumUnit units.
const valueMax = 1 << 10

// valueUnits returns an outcome's value in units of a cap that is above 0, rounded.
func valueUnits(x, limit float64) int64 {
	if math.IsNaN(x) {
		return 0
	}
	return int64(math.Round(min(max(x/limit, -valueMax), valueMax) * SumUnit))
}

// capUnits cuts a sum off at the cap.
func capUnits(u int64) int64 { return min(max(u, -SumUnit), SumUnit) }

// earlierCopy returns the latest time of the earlier copies of an outcome in its partition (NoTime if there is none), and notes this one. It is for values
// alone, and other than for the class Duplicate any copy counts: also a late one, and not one that names another model. So whether a value counts
// for a rollout (hasCopy) doesn't depend on what others there are.
func (s *Stage) earlierCopy(src *source, e *schemas.Event, w *waiting) int64 {
	key := identityOf(w.key^(w.model|1)*mixOdd, e.Name, e.EventID)
	packed := packWhat(what{source: src.place, joinable: true}) // the mark of these entries
	for f := s.outcomes.find(key); ; {
		known := f.next()
		if known == nil {
			break
		}
		if known.what == packed {
			before := known.timeMs()
			known.when = packWhen(max(before, w.timeMs), 0)
			return before
		}
	}
	entry := slot{key: key, when: packWhen(w.timeMs, 0), what: packed}
	if s.outcomeStale(&entry) || s.noteOutcome(entry) {
		return NoTime
	}
	for _, r := range s.rollouts { // a copy would be added again
		if r != nil && r.ordinal(w.name) >= 0 {
			if o := &r.outcomes[r.ordinal(w.name)]; o.cap > 0 {
				o.overflow(w.timeMs-o.withinMs, w.timeMs+r.LatenessMs)
			}
		}
	}
	return NoTime
}

// hasCopy says whether an outcome has an earlier copy for the rollout: one that happened no more than `within` before it. That is remembered as long as
// the outcome isn't late, whichever other events its partition has. What happened a lateness before the first window may have been read before the rollout was
// there: it is no copy of anything.
func (r *rollout) hasCopy(at int, w *waiting) bool {
	return w.copyMs >= max(w.timeMs-r.outcomes[at].withinMs, r.start-r.LatenessMs)
}

// matched is a prediction that an outcome counts for, and its window.
type matched struct {
	*slot
	joined *joinedWindows
	window int
}

// move changes the prediction's sum of an outcome's values, in units, from one number to another.
func (m *matched) move(outcome int, from, to int64) {
	words, arm := m.joined.sumsOf(m.window, outcome), int(m.arm())
	words[2*arm] += to - from
	words[2*arm+1] += SquareUnits(to) - SquareUnits(from)
	if m.arm() == Baseline {
		words[sumSlices+m.slice()] += to - from
	}
	if m.joined.symbols != nil {
		sums := m.joined.segmentSums(m.window, outcome, m.slot)
		sums[0] += to - from
		sums[1] += SquareUnits(to) - SquareUnits(from)
	}
}

// addValue adds an outcome's value to its prediction's sum.
func (s *Stage) addValue(r *rollout, at int, w *waiting, to matched) {
	units := valueUnits(w.value, r.outcomes[at].cap)
	if units == 0 {
		return
	}
	key := valueKey(to.slot, at)
	for f := s.values.find(key); ; {
		known := f.next()
		if known == nil {
			break
		}
		if known.when == to.when {
			before := int64(known.what)
			known.what = uint64(before + units)
			to.move(at, capUnits(before), capUnits(before+units))
			return
		}
	}
	if !s.values.hasRoom(s.limits.PendingOutcomes) {
		s.stats.LostValues++
		r.outcomes[at].overflow(to.timeMs(), to.timeMs())
		return
	}
	s.values.insert(slot{key: key, when: to.when, what: uint64(units)})
	to.move(at, 0, capUnits(units))
}

// valueKey mixes a prediction and the place of an outcome in its plan into one hash.
func valueKey(e *slot, at int) uint64 {
	h := (e.key ^ e.identity()*mixOdd) * mixOdd
	h ^= h >> 32
	return max((h^uint64(at+1))*mixOdd, 1)
}

// valueStale says that no outcome can come any more for the prediction whose sum this is.
func (s *Stage) valueStale(e *slot) bool {
	r := s.rollouts[e.plan()]
	return r == nil || e.timeMs() < r.joinFloor
}

// identityOf mixes what copies of one outcome have in common into one hash.
func identityOf(id uint64, name, event []byte) uint64 {
	h := (id ^ xxhash.Sum64(name)*mixOdd) * mixOdd
	h ^= h >> 32
	return max((h^xxhash.Sum64(event))*mixOdd, 1)
}

const mixOdd = 0x9e3779b97f4a7c15
