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

// drainGraceMs is how much longer than a proof needs is waited for it, for what is on its way.
const drainGraceMs = 5_000

// Drain is what the prediction stream has shown of the canary since the rollback was decided.
type Drain struct {
	RoutedMs    int64  `json:"routed_ms"`             // wall time at which the route was decided
	FromMs      int64  `json:"from_ms"`               // event time of the rollback: earlier windows don't count
	FollowedMs  int64  `json:"followed_ms,omitempty"` // event time from which on windows show whether the route is followed (follows); 0: all that count do
	Windows     int    `json:"windows"`               // consecutive non-empty ones with a canary share below the limit
	Predictions int64  `json:"predictions"`           // in them
	CleanFromMs int64  `json:"clean_from_ms"`         // event time since which no canary prediction was seen
	CleanSeen   int64  `json:"clean_seen"`            // predictions since then
	Seen        int64  `json:"seen"`                  // predictions since FromMs
	LastCanary  int64  `json:"last_canary"`           // canary predictions in the newest non-empty window
	LastAll     int64  `json:"last_all"`              // predictions in it
	LastMs      int64  `json:"last_ms"`               // the end of that window
	Hosts       []Flow `json:"hosts,omitempty"`       // of them, the canary's
	Regions     []Flow `json:"regions,omitempty"`     // likewise
	// Others are the model's other versions that answered in it, the most predictions first, at most MaxFlows; OthersSum are the predictions of all of them.
	Others    []VersionFlow `json:"others,omitempty"`
	OthersSum int64         `json:"others_sum,omitempty"`
	// HostsMore and RegionsMore are those beyond Hosts and Regions in it, as far as they are known, and HostsUntold the predictions of which the host isn't.
	HostsMore   int   `json:"hosts_more,omitempty"`
	RegionsMore int   `json:"regions_more,omitempty"`
	HostsUntold int64 `json:"hosts_untold,omitempty"`
	// LastWidthMs is the width of the newest non-empty window.
	LastWidthMs int64 `json:"last_width_ms,omitempty"`
	Look        Look  `json:"look"` // when the deadline passed last, or the proof began
}

// A Look is how much was known when somebody looked whether the canary has drained.
type Look struct {
	WallMs      int64 `json:"wall_ms"`
	UpToMs      int64 `json:"up_to_ms"`                // event time up to which it was known what the model serves
	CleanFromMs int64 `json:"clean_from_ms,omitempty"` // Drain.CleanFromMs; 0: the proof had just begun, or people were told
}

// take adds a window, and reports whether the canary has drained. Windows without predictions say nothing.
func (d *Drain) take(w *Traffic) bool {
	all := w.Baseline + w.Canary
	if w.StartMs < d.FromMs || all == 0 {
		return false
	}
	d.sees(w)
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
	return d.proven()
}

// proven reports whether it had drained by the newest window with predictions.
func (d *Drain) proven() bool {
	byShare := d.Windows >= drainWindows && d.Predictions >= drainPredictions
	byQuiet := d.CleanSeen > 0 && d.LastMs-d.CleanFromMs >= drainQuietMs
	return byShare || byQuiet
}

// sees takes a window with predictions for the eye.
func (d *Drain) sees(w *Traffic) {
	all := w.Baseline + w.Canary
	d.Seen += all
	d.LastCanary, d.LastAll, d.LastMs, d.LastWidthMs = w.Canary, all, w.EndMs, w.EndMs-w.StartMs
	d.Hosts, d.Regions = most(w.Hosts), most(w.Regions)
	d.HostsMore, d.RegionsMore, d.HostsUntold = len(w.Hosts)-len(d.Hosts), len(w.Regions)-len(d.Regions), w.Canary
	for _, h := range w.Hosts {
		d.HostsUntold = max(d.HostsUntold-h.Predictions, 0)
	}
	d.Others, d.OthersSum = mostVersions(w.Others)
}

// traffic looks at a sealed window for the verify step, and for a cache that is warmed.
func (t *turn) traffic(w *Traffic) {
	t.s.EventMs = max(t.s.EventMs, w.EndMs)
	if step := t.s.Warming; step != nil && step.State == StepWarming && step.Warm.take(w.StartMs, w.CanaryCacheTold, w.CanaryCacheHits, t.s.Terms.Cache.HitRate) {
		step.State, step.DeadlineMs = StepAcked, 0
		t.stopEnds()
	}
	t.replacedServes(w)
	if t.s.Retired != nil {
		t.heirBeyond(w)
		t.retiredServes(t.s.Retired, w)
		return
	}
	if t.s.Saga == nil {
		t.promotionSeen(w)
		return
	}
	t.warmed(w)
	t.refugeKept(w)
	step := t.s.Saga.step(StepVerify)
	if step == nil || !step.begun() || t.s.Saga.Done() {
		return
	}
	if t.s.Saga.Drain.take(w) { // what is told of another step that is open says how the canary stands now
		t.drained(step, w)
	}
}

// follows notes that routers could have followed the route at a wall time. What is answered before that was routed before it, and is no sign that the canary is served still: decided is by what was sealed, which
// is some seconds old. Clocks of producers may be ahead, and answers take a moment.
func (d *Drain) follows(wallMs int64) {
	d.FollowedMs = max(d.FollowedMs, wallMs+settle.Milliseconds())
}

// stays reports whether the newest window with predictions shows the canary although routers could have followed.
func (d *Drain) stays() bool { return d.LastCanary > 0 && d.isAfterRoute(d.LastMs) }

// isAfterRoute reports whether the window that ends at an event time began when routers could have followed. All are as wide as the last one.
func (d *Drain) isAfterRoute(endMs int64) bool { return endMs-d.LastWidthMs >= d.FollowedMs }

func (d *Drain) clone() Drain {
	c := *d
	c.Hosts, c.Regions, c.Others = slices.Clone(d.Hosts), slices.Clone(d.Regions), slices.Clone(d.Others)
	return c
}

func most(flows []Flow) []Flow { return slices.Clone(flows[:min(len(flows), MaxFlows)]) }

// What bounds the hosts, and the regions, that a sentence names, in bytes: whoever is told must hear what to do, too, which stands behind them.
const (
	maxHostsText   = 320
	maxRegionsText = 160
	maxPlaceText   = 100 // of one name
)

// where is on which hosts and in which regions the canary still answers: they tell which router sends its traffic there.
func (d *Drain) where() string {
	text := ""
	if hosts := places(d.Hosts, d.HostsMore, maxHostsText); hosts != nil {
		if d.HostsUntold > 0 {
			hosts = append(hosts, fmt.Sprintf("and hosts that aren't known (%d)", d.HostsUntold))
		}
		text = ", on " + strings.Join(hosts, ", ")
	}
	if regions := places(d.Regions, d.RegionsMore, maxRegionsText); regions != nil {
		text += ", in " + strings.Join(regions, ", ")
	}
	return text
}

// places name hosts or regions, one at least, and how many more there are than have room.
func places(flows []Flow, more, room int) []string {
	var names []string
	for _, f := range flows {
		name := f.Host
		if len(name) > maxPlaceText {
			name = clip(name, maxPlaceText) + "…"
		}
		name = fmt.Sprintf("%s (%d)", name, f.Predictions)
		if room -= len(name); room < 0 && names != nil {
			break
		}
		names = append(names, name)
	}
	if more += len(flows) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return names
}

// drainExpired looks whether the canary has drained although it isn't proven. Where the model is asked nothing any more, nothing can prove it, and verify ends. Where
// the canary is at 0, or was served last before routers could have followed, and only too little traffic has been there to prove it, it is waited for. Else it escalates, also where nothing is known because
// nothing was read (after a restart, or with a broker away).
func (t *turn) drainExpired(step *SagaStep, x *Expired) {
	was := t.s.Saga.Drain.Look
	switch silent, dueMs := t.looks(&t.s.Saga.Drain, x); {
	case silent:
		t.s.Saga.Unproven = true
		t.settle(step, 0)
	case dueMs > 0:
		step.DeadlineMs = dueMs
	default:
		t.drainOverdue(step, x, &was)
	}
}

// looks notes what is known of a drain whose deadline has passed, and reports whether nothing can prove it any more, as the model isn't asked. Else dueMs is the wall time until which the proof
// is waited for, where it only takes time; 0: it isn't.
func (t *turn) looks(d *Drain, x *Expired) (silent bool, dueMs int64) {
	was := d.Look
	d.Look = Look{WallMs: t.in.WallMs, UpToMs: max(t.s.EventMs, x.SealedMs, was.UpToMs), CleanFromMs: d.CleanFromMs}
	if x.Quiet {
		d.Look.UpToMs = max(d.Look.UpToMs, t.in.WallMs)
	}
	silentFrom, needed := max(d.FromMs, d.RoutedMs, d.LastMs, x.ServedMs), t.s.Terms.DrainWithinMs
	if d.Seen > 0 {
		needed = max(needed, drainQuietMs)
	}
	switch {
	case d.Look.UpToMs-silentFrom >= needed:
		return true, 0
	case d.isComing(&was) && d.isSoon(&was, needed):
		due := silentFrom + needed
		if proof := d.CleanFromMs + drainQuietMs; d.Seen > 0 && proof > d.Look.UpToMs {
			due = proof
		}
		wait := min(max(due-d.Look.UpToMs, 0), needed) + drainGraceMs // where old events are read, that is looked at again and again
		if judged := d.FollowedMs + 2*t.s.Terms.SettleMs; d.LastCanary > 0 && judged > t.in.WallMs {
			wait = min(wait, judged-t.in.WallMs)
		}
		return false, t.in.WallMs + max(wait, drainGraceMs, 2*(t.s.Terms.SettleMs-settle.Milliseconds())) // what is read goes on by whole windows
	}
	return false, 0
}

// isComing reports whether the proof only takes time: the canary is at 0, or nothing came since routers could have followed, what is served is being read, and the canary was not seen again since somebody looked before.
func (d *Drain) isComing(was *Look) bool {
	return !d.stays() && d.isRead(was) && !d.relapsed(was)
}

// isSoon reports whether windows come in which routers could have followed, within as long as a proof needs, at the pace at which event time went on since somebody looked before, where there were none yet, and the canary was
// seen in the last one: clocks of producers that are behind, and old events, would keep it waiting for as long as they are late.
func (d *Drain) isSoon(was *Look, neededMs int64) bool {
	if d.LastCanary == 0 {
		return true
	}
	return float64(d.FollowedMs-d.Look.UpToMs)*float64(d.Look.WallMs-was.WallMs) <= float64(d.Look.UpToMs-was.UpToMs)*float64(neededMs)
}

// isBack reports whether the canary has had users again since it had drained, and before all else was done.
func (s *Saga) isBack() bool {
	return !s.Done() && !s.Unproven && s.Drain.served() && !s.Drain.proven()
}

// served reports whether the stream has shown the canary since the rollback was decided.
func (d *Drain) served() bool { return d.CleanFromMs > d.FromMs }

// isRead reports whether event time goes on as wall time does, by half at least.
func (d *Drain) isRead(was *Look) bool {
	return 2*(d.Look.UpToMs-was.UpToMs) >= d.Look.WallMs-was.WallMs
}

func (d *Drain) relapsed(was *Look) bool {
	return was.CleanFromMs > 0 && d.CleanFromMs > was.CleanFromMs && d.isAfterRoute(d.CleanFromMs)
}

// unread is what to look at where event time stands still.
const unread = "Are predictions still written, and read? /readyz and the lag of the topics tell."

// drainOverdue tells people that the canary isn't seen to have drained: what the stream shows, and who has answered.
func (t *turn) drainOverdue(step *SagaStep, x *Expired, was *Look) {
	t.retry(step, t.drainAgainMs())
	seen, do := t.undrained(&t.s.Saga.Drain, x, was, "the "+t.s.ending())
	told := fmt.Sprintf("It is not proven that %s has drained: %s%s.%s", t.s.Terms.Canary, seen, passed(step.Attempt), t.s.whoFollowed())
	t.notice(schemas.Notice{
		Kind: schemas.NoticeDrainOverdue, Severity: t.s.Saga.severity(), Decision: t.s.Saga.Decision, Attempt: step.Attempt, Sentence: ending(told, do+t.s.heldText()),
	})
}

// undrained is what the stream shows of a version that isn't seen to have drained since something, and what to do. People are told of it.
func (t *turn) undrained(d *Drain, x *Expired, was *Look, since string) (seen, do string) {
	d.Look.CleanFromMs = 0
	seen, do = d.Text(), "Find what still routes to it, and move that by hand."
	switch {
	case d.Seen == 0:
		seen, do = fmt.Sprintf("no prediction since %s has been counted yet", since), unread
	case d.LastCanary == 0 && d.relapsed(was):
		seen = fmt.Sprintf("it still answers now and then, up to %s; %s", schemas.Time(d.CleanFromMs), seen)
	case !d.isRead(was):
		seen, do = fmt.Sprintf("little or nothing was counted after %s; until then %s", schemas.Time(d.LastMs), seen), unread
	case d.LastCanary > 0 && d.Look.UpToMs < d.FollowedMs:
		seen = fmt.Sprintf("events are read up to %s, %s late, and nothing is known yet of the time since routers could have followed; until then %s", schemas.Time(d.Look.UpToMs), t.ago(schemas.Time(d.Look.UpToMs)), seen)
		do = "Look at the routers: does any still send it traffic? Are producers' clocks behind, or are old events being read? The lag of the topics tells."
	case d.Look.UpToMs-max(d.LastMs, x.ServedMs) > drainGraceMs:
		seen = fmt.Sprintf("%s; the model wasn't asked after that, up to %s", d.dated(), schemas.Time(d.Look.UpToMs))
		do = "If nobody asks the model any more, this ends by itself (done_unproven). Else find what still routes to it, and why its predictions don't come."
	}
	return seen, do
}

// dated is Text with the end of that window.
func (d *Drain) dated() string {
	if d.Seen == 0 {
		return ""
	}
	return fmt.Sprintf("%s, up to %s", d.Text(), schemas.Time(d.LastMs))
}

// Text is what the newest window with traffic shows of the canary, for a person; "" before there is one.
func (d *Drain) Text() string {
	if d.Seen == 0 {
		return ""
	}
	return d.share() + d.where()
}

// share is that without where.
func (d *Drain) share() string {
	if d.Seen == 0 {
		return ""
	}
	return fmt.Sprintf("it served %d of the %d predictions of the newest window", d.LastCanary, d.LastAll)
}
