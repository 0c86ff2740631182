package decisions

import (
	"fmt"
	"slices"
	"strings"

	"streamcanary/schemas"
)

// The proof that a canary has drained: its share is below 1/drainShare in each of at least drainWindows consecutive
// non-empty windows that together hold drainPredictions; or, where traffic is thin, none of it for drainQuietMs of event
// time with traffic.
const (
	drainShare       = 1000
	drainWindows     = 3
	drainPredictions = 3000
	drainQuietMs     = 60_000
)

// Drain is what the prediction stream has shown of the canary since the rollback was decided.
type Drain struct {
	FromMs      int64  `json:"from_ms"`         // event time of the rollback: earlier windows don't count
	Windows     int    `json:"windows"`         // consecutive non-empty ones with a canary share below the limit
	Predictions int64  `json:"predictions"`     // in them
	CleanFromMs int64  `json:"clean_from_ms"`   // event time since which no canary prediction was seen
	CleanSeen   int64  `json:"clean_seen"`      // predictions since then
	Seen        int64  `json:"seen"`            // predictions since FromMs
	LastCanary  int64  `json:"last_canary"`     // canary predictions in the newest non-empty window
	LastAll     int64  `json:"last_all"`        // predictions in it
	Hosts       []Flow `json:"hosts,omitempty"` // of them, the canary's
}

// take adds a window, and reports whether the canary has drained. Windows without predictions say nothing.
func (d *Drain) take(w *Traffic) bool {
	all := w.Baseline + w.Canary
	if w.StartMs < d.FromMs || all == 0 {
		return false
	}
	d.Seen += all
	d.LastCanary, d.LastAll, d.Hosts = w.Canary, all, slices.Clone(w.Hosts[:min(len(w.Hosts), MaxFlows)])
	if w.Canary > 0 {
		d.CleanFromMs, d.CleanSeen = w.EndMs, 0
	} else {
		d.CleanSeen += all
	}
	if w.Canary*drainShare < all {
		d.Windows++
		d.Predictions += all
	} else {
		d.Windows, d.Predictions = 0, 0
	}
	byShare := d.Windows >= drainWindows && d.Predictions >= drainPredictions
	byQuiet := d.CleanSeen > 0 && w.EndMs-d.CleanFromMs >= drainQuietMs
	return byShare || byQuiet
}

// traffic looks at a sealed window for the verify step, and for a cache that is warmed.
func (t *turn) traffic(w *Traffic) {
	t.s.EventMs = max(t.s.EventMs, w.EndMs)
	if step := t.s.Warming; step != nil && step.State == StepWarming && step.Warm.take(w.StartMs, w.CanaryCacheTold, w.CanaryCacheHits, t.s.Terms.Cache.HitRate) {
		step.State, step.DeadlineMs = StepAcked, 0
	}
	if t.s.Saga == nil {
		return
	}
	t.warmed(w)
	step := t.s.Saga.step(StepVerify)
	if step == nil || !step.begun() || !step.open() || !t.s.Saga.Drain.take(w) {
		return
	}
	t.settle(step, w.EndMs)
}

// text is what was seen of the canary last.
func (d *Drain) text() string {
	if d.Seen == 0 {
		return "no prediction since the rollback has been counted yet"
	}
	return fmt.Sprintf("it served %d of the %d predictions of the newest window%s", d.LastCanary, d.LastAll, d.where())
}

// where is on which hosts the canary still answers: they tell which router sends its traffic there.
func (d *Drain) where() string {
	if len(d.Hosts) == 0 {
		return ""
	}
	var hosts []string
	for _, f := range d.Hosts {
		hosts = append(hosts, fmt.Sprintf("%s (%d)", f.Host, f.Predictions))
	}
	return ", on " + strings.Join(hosts, ", ")
}

// drainExpired ends verify without a proof where there was no traffic at all: the deadline's time was judged and is empty, or there is nothing
// to read. Else it escalates, also where nothing is known because nothing was read (after a restart, or with a broker away).
func (t *turn) drainExpired(step *SagaStep, quiet bool) {
	drain := &t.s.Saga.Drain
	judged := t.s.EventMs-drain.FromMs >= t.s.Terms.DrainWithinMs
	if drain.Seen == 0 && (quiet || judged) {
		t.s.Saga.Unproven = true
		t.settle(step, 0)
		return
	}
	t.retry(step, t.s.Terms.DrainWithinMs)
	do := "Find what still routes to it, and move that by hand."
	if drain.Seen == 0 {
		do = "Are predictions still written, and read? /readyz and the lag of the topics tell."
	}
	t.notice(schemas.Notice{
		Kind: schemas.NoticeDrainOverdue, Severity: schemas.Critical, Decision: t.s.Saga.Decision, Attempt: step.Attempt,
		Sentence: fmt.Sprintf("It is not proven that %s has drained: %s%s. %s", t.s.Terms.Canary, drain.text(), passed(step.Attempt), do),
	})
}
