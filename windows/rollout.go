package windows

import (
	"github.com/cespare/xxhash/v2"

	"streamcanary/schemas"
)

// rollout is what the stage knows of one plan.
type rollout struct {
	Plan
	slot      int // place in the stage's plans
	hash      string
	start     int64 // of the first window
	serving   layout
	resources layout
	outcomes  []outcome
	ordinals  []int8  // by place in the stage's outcome names: place in outcomes, or -1
	lanes     []*lane // by source; nil where a source carries neither predictions nor samples
	withinMax int64   // of the outcomes; 0 without any
	reachMax  int64
	joinFloor int64 // no outcome can come any more for predictions before this
	model     uint64
	versions  [Arms]uint64
	homes     []*lane  // by source: which counts its join gap; nil where that isn't known yet
	symbols   *symbols // of segments; nil where the plan doesn't tell them apart
	tieArm    Arm      // which arm's version is greater
	pickers   [Arms]picker
}

// outcome is what the stage knows of one outcome of a plan.
type outcome struct {
	name     int32 // place in the stage's outcome names
	keys     []string
	withinMs int64
	cap      float64 // of a prediction's sum of values; 0: they don't count
	reachMs  int64   // beyond this after its prediction, an outcome is Unmatched; up to it, Outside
	mark     int64   // windows that end by then are sealed
	// Outcomes, or values of them, that there was no room for could have counted in windows that overlap this span.
	lostFrom, lostTo int64
}

// overflow notes that something of the predictions between two times may be missing.
func (o *outcome) overflow(fromMs, toMs int64) {
	o.lostFrom, o.lostTo = min(o.lostFrom, fromMs), max(o.lostTo, toMs)
}

// lane is one source partition's part in a rollout.
type lane struct {
	source  *source
	serving strand
	samples strand
	joined  joinedWindows
	muted   []int64 // per outcome: windows that end by then were handed out, or are in the journal already
	units   unitMemory
}

// strand is the windows of one part kind in a lane.
type strand struct {
	open  windowList
	mark  int64 // windows that end by then are sealed
	muted int64 // windows that end by then were handed out, or are in the journal already
}

func newRollout(p Plan, slot int) *rollout {
	r := &rollout{Plan: p, slot: slot, hash: p.Hash(), start: p.first(), joinFloor: NoTime}
	r.serving, r.resources = newLayout(&p, Serving), newLayout(&p, Resources)
	r.model = xxhash.Sum64String(p.Model)
	r.versions = [Arms]uint64{Baseline: xxhash.Sum64String(p.Baseline), Canary: xxhash.Sum64String(p.Canary)}
	for arm, w := range p.Where {
		r.pickers[arm] = newPicker(w)
	}
	if p.Segments != nil {
		r.symbols = newSymbols()
	}
	if p.Canary > p.Baseline {
		r.tieArm = Canary
	}
	for _, o := range p.Outcomes {
		reach := o.WithinMs + o.WithinMs/4 + p.LatenessMs
		r.withinMax, r.reachMax = max(r.withinMax, o.WithinMs), max(r.reachMax, reach)
		r.outcomes = append(r.outcomes, outcome{
			keys: []string{o.Name}, withinMs: o.WithinMs, cap: o.Cap, reachMs: reach, mark: r.start, lostFrom: forever, lostTo: NoTime,
		})
	}
	return r
}

// mark returns the time up to which the rollout's windows of a source are sealed when its high is this: a start of a window.
func (r *rollout) mark(high int64) int64 {
	if high == NoTime {
		return r.start
	}
	return max(r.start, floorTo(high-r.LatenessMs, r.WidthMs))
}

// addLane gives a source its place in the rollout.
func (r *rollout) addLane(src *source) {
	for len(r.lanes) <= src.place {
		r.lanes = append(r.lanes, nil)
	}
	if r.lanes[src.place] != nil || !(src.carries[schemas.KindPrediction] || src.carries[schemas.KindSample]) {
		return
	}
	l := &lane{source: src, muted: make([]int64, len(r.outcomes))}
	for i := range l.muted {
		l.muted[i] = NoTime
	}
	l.joined.shape(&r.Plan)
	r.homes = nil
	l.joined.symbols = r.symbols
	l.serving = strand{mark: r.mark(src.high[schemas.KindPrediction]), muted: NoTime}
	l.samples = strand{mark: r.mark(src.high[schemas.KindSample]), muted: NoTime}
	r.lanes[src.place] = l
}

// arm returns the arm that a prediction or a sample of the model is of, if it is of one.
func (r *rollout) arm(e *schemas.Event) (Arm, bool) {
	switch {
	case string(e.Version) == r.Baseline:
		return Baseline, r.pickers[Baseline].fits(e)
	case string(e.Version) == r.Canary:
		return Canary, r.pickers[Canary].fits(e)
	}
	return 0, false
}

// ordinal returns the place of an outcome in the plan, or -1.
func (r *rollout) ordinal(name int32) int {
	if int(name) >= len(r.ordinals) {
		return -1
	}
	return int(r.ordinals[name])
}

// rememberedTo returns when the source's watermark has passed what a prediction's copies are remembered for.
func (r *rollout) rememberedTo(ms int64) int64 {
	return floorTo(ms, r.WidthMs) + r.WidthMs + r.withinMax
}

// strand returns the lane's windows of a kind of event.
func (l *lane) strand(kind schemas.Kind) *strand {
	if kind == schemas.KindSample {
		return &l.samples
	}
	return &l.serving
}
