package decisions

import (
	"maps"
	"slices"

	"streamcanary/schemas"
)

// Status is where a rollout stands.
type Status string

// The statuses. RolledBack, Frozen, Promoted, Superseded, Deleted and Refused end the epoch's judging: no verdict changes them. While a promotion isn't acknowledged, harm still
// rolls it back.
const (
	StatusPreparing  Status = "preparing" // waits for routers to acknowledge the prepare, or, where a person holds it, for that to end
	StatusRunning    Status = "running"
	StatusHolding    Status = "holding"
	StatusRolledBack Status = "rolled-back"
	StatusFrozen     Status = "frozen"    // is to be rolled back, and its state can't go back yet: nothing moves
	StatusPromoting  Status = "promoting" // waits for routers to acknowledge the promotion
	StatusPromoted   Status = "promoted"
	StatusSuperseded Status = "superseded" // another rollout of the model took over
	StatusDeleted    Status = "deleted"
	StatusRefused    Status = "refused" // a pillar failed, so it never began
)

// Ended reports whether verdicts no longer matter to a rollout of this status.
func (s Status) Ended() bool {
	return s == StatusRolledBack || s == StatusFrozen || s == StatusPromoted || s == StatusSuperseded || s == StatusDeleted || s == StatusRefused
}

// State is all that the machine knows of one epoch of one rollout. It is a value: Step never changes the one it was given.
// The zero value is a rollout that was never applied.
type State struct {
	Terms  Terms  `json:"terms"`
	Epoch  int64  `json:"epoch"`
	Seq    int64  `json:"seq"` // of the last decision of this epoch; 0: none yet
	Status Status `json:"status"`
	// Prev is the model's last decision.
	Prev *schemas.Prev `json:"prev,omitempty"`
	// Routes are those that this epoch has set; nil: none yet, and routers keep their own.
	Routes []schemas.Route `json:"routes,omitempty"`
	// Before are the routes of the model's last effective decision before this epoch; nil: none.
	Before []schemas.Route `json:"before,omitempty"`
	// EventMs is the highest event time that an input carried.
	EventMs int64 `json:"event_ms"`
	// FromMs is the event time from which on windows are judged, set by the commit. 0 before it.
	FromMs int64 `json:"from_ms,omitempty"`
	// DueMs is the event time from which on the first stage's traffic is due: routers have said that they follow, or nobody asks them. 0: not yet.
	DueMs int64 `json:"due_ms,omitempty"`
	// BeganMs is the wall time of the commit, where a guardrail is from outside; Alerts are those that fire, in the order in which they were told, at most MaxFiring.
	BeganMs int64    `json:"began_ms,omitempty"`
	Alerts  []Firing `json:"alerts,omitempty"`
	// Truncated are groups of alerts that Alertmanager told only a part of, in the order in which that was told, at most MaxTruncated; TruncatedMs is when people were told last,
	// and TruncatedTold whether they haven't been told of its end.
	Truncated     []Truncated `json:"truncated,omitempty"`
	TruncatedMs   int64       `json:"truncated_ms,omitempty"`
	TruncatedTold bool        `json:"truncated_told,omitempty"`
	// Stage is the one that the rollout is in, from 0, and Begun is where each after the first began.
	Stage int          `json:"stage,omitempty"`
	Begun []StageBegin `json:"begun,omitempty"`
	// Returns are where a rollback gave the baseline traffic, where its cache may be cold; at most maxReturns.
	Returns []Return `json:"returns,omitempty"`
	// Warming is how far the present stage is, where it only warms the canary's cache.
	Warming *SagaStep `json:"warming,omitempty"`
	// Suspected are the guardrails of which people were told that they are suspect, and not yet that it is over; at most maxNamed.
	Suspected []string `json:"suspected,omitempty"`
	// Why is the reason of the last decision but the start, and but what only follows from another one; of a hold that goes on for another reason that one: what a person
	// asks for first. A start that a person's resume lets begin is one.
	Why      *schemas.Reason `json:"why,omitempty"`
	Breached []string        `json:"breached,omitempty"` // guardrails that say that the canary does harm
	Hold     *Hold           `json:"hold,omitempty"`
	Wait     *Wait           `json:"wait,omitempty"` // for acks of a start or a promotion
	Saga     *Saga           `json:"saga,omitempty"`
	// Promotion is how far what follows a promotion is; nil where nothing does, and of what a rollback has ended.
	Promotion *Promotion `json:"promotion,omitempty"`
	// Unstarted are the registries that have said that they never will do what the start asks of them, in the order in which people were told: until a rollback or a promotion has steps for them.
	Unstarted []string `json:"unstarted,omitempty"`
	// Retired is what the stream shows, once the epoch has ended, of the version that is to have no users any more; nil: it isn't looked at.
	Retired *Retired `json:"retired,omitempty"`
	// Looked is what was seen of it last, for a person, once nobody looks any more.
	Looked string `json:"looked,omitempty"`
	// Replaced is what it shows of the canary that the epoch began over, from whose users it has taken the traffic; nil: it isn't looked at.
	Replaced *Retired `json:"replaced,omitempty"`
	// ReplacedToo are those before it that are looked at, the newest first: what an epoch before this one had left, or looked at itself; Replaced and these are at most maxLeft.
	ReplacedToo []Retired `json:"replaced_too,omitempty"`
	// Snapshots are what the stores of shared state can go back to; Frozen: they were told to take no writes.
	Snapshots []Snapshot `json:"snapshots,omitempty"`
	Frozen    bool       `json:"frozen,omitempty"`
	// Freezing waits for stores that a person asked to take no writes.
	Freezing *Wait `json:"freezing,omitempty"`
	// Thawing waits for stores that are to take writes again; each decision goes on to tell them.
	Thawing *Wait `json:"thawing,omitempty"`
	// Pillars are what was checked before the start.
	Pillars []Pillar `json:"pillars,omitempty"`
	// Watched is what was found of them since.
	Watched []Watched `json:"watched,omitempty"`
	// Past are the model's rollbacks before this epoch, oldest first; Forward is the newest reason to roll forward, where that is recommended, and ForwardToo are
	// those before it that still stand, the newest first, one for each code (Recommended has all).
	Past       []Past           `json:"past,omitempty"`
	Forward    *schemas.Reason  `json:"forward,omitempty"`
	ForwardToo []schemas.Reason `json:"forward_too,omitempty"`
	// Beyond are the limits that the baseline is beyond, by the last verdict; BeyondTold are the guardrails of which people have heard that.
	Beyond     []Beyond `json:"beyond,omitempty"`
	BeyondTold []string `json:"beyond_told,omitempty"`
	// Amiss is what isn't as planned in the traffic, by the last verdict.
	Amiss []schemas.Finding `json:"amiss,omitempty"`
	// Skew is what the last verdict told of the canary's scores, where there are offline ones.
	Skew    *schemas.Skew `json:"skew,omitempty"`
	Answers []Answer      `json:"acks,omitempty"` // ascending Consumer; at most Terms.mostAnswers
	Strays  []Stray       `json:"strays,omitempty"`
	Notices int64         `json:"notices"` // made so far in this epoch
	// Parted are the sinks that people heard by in an earlier epoch, and that the rollout no longer names: at most maxNamed.
	Parted []string `json:"parted,omitempty"`
	// Serving are, until its first input, the versions of which people were told under the rollout's epoch before that they serve users and are to have none, and not of the end.
	Serving []string `json:"serving,omitempty"`
	// HandedOn: people were told that what this epoch has left is up to the model's next rollout.
	HandedOn bool `json:"handed_on,omitempty"`
	// Commanded are the rollout's last commands, oldest first, with what came of them: at most MaxCommanded. A new epoch takes them over, so that one that is sent
	// again does nothing to it. Spent are the ids of those before them that were obeyed, oldest first: at most MaxSpent, and then the oldest is forgotten.
	Commanded []Commanded `json:"commanded,omitempty"`
	Spent     []Spent     `json:"spent,omitempty"`
	// Refusals are what was told of commands that were refused in this epoch; at most MaxRefusals.
	Refusals []Refusal `json:"refusals,omitempty"`
}

// StageBegin is where in the evidence a stage begins, so that folding it again does the same.
type StageBegin struct {
	Turn     int64 `json:"turn"`                // Input.Turn when it was decided: what comes after proves no more pass of the stage before
	FromMs   int64 `json:"from_ms,omitempty"`   // event time of its first window; 0: routers have not followed yet
	FromTurn int64 `json:"from_turn,omitempty"` // Input.Turn when they had
}

// Return is where in the evidence a rollback's decision gives the baseline traffic, whose cache may be cold then.
type Return struct {
	Turn     int64 `json:"turn,omitempty"`      // Input.Turn when it was decided
	UntilMs  int64 `json:"until_ms,omitempty"`  // event time: guardrails are muted until then at the latest; 0: none is
	FromMs   int64 `json:"from_ms,omitempty"`   // event time of the first window with the traffic; 0: routers have not followed yet
	FromTurn int64 `json:"from_turn,omitempty"` // Input.Turn when they had
}

// Hold is why a rollout holds.
type Hold struct {
	Decision string   `json:"decision"`          // the last one of this hold
	Code     string   `json:"code"`              // of what holds it now
	Earlier  []string `json:"earlier,omitempty"` // codes that have held it before: each was decided, and isn't again
	Sticky   bool     `json:"sticky,omitempty"`  // only a person ends it
	Under    *Beneath `json:"under,omitempty"`   // of a hold that a person began: what the engine holds it for meanwhile
}

// Wait is a decision that waits for acks.
type Wait struct {
	Decision   string            `json:"decision"`
	Seq        int64             `json:"seq"`
	Want       schemas.AckStatus `json:"want"`                // prepared or applied
	NoRouter   bool              `json:"no_router,omitempty"` // no router need answer
	Names      []string          `json:"names,omitempty"`     // routers that must answer, ascending; none: any one
	Stores     []string          `json:"stores,omitempty"`    // state stores that must answer, ascending; of a sink's step the sink
	Got        []string          `json:"got,omitempty"`       // who of them has, ascending; where any router is enough, at most MaxAnswers
	DeadlineMs int64             `json:"deadline_ms"`         // wall time
	Attempt    int               `json:"attempt,omitempty"`
	Told       bool              `json:"told,omitempty"` // people have heard that an answer is missing, or a refusal
	// Drain, of a promotion that another controller may carry out without a word, is what the stream has shown of the baseline since, which is in the canary's place in it (witnesses).
	Drain *Drain `json:"drain,omitempty"`
}

// Answer is the newest ack of one consumer.
type Answer struct {
	Consumer string            `json:"consumer"`
	Seq      int64             `json:"seq"`
	Status   schemas.AckStatus `json:"status"`
	Why      string            `json:"why,omitempty"`
	AtMs     int64             `json:"at_ms"` // wall time of the intake
	// Refused, of an ack that only says that a decision was received, is what the consumer answered before it, where that was a refusal.
	Refused *Answer `json:"refused,omitempty"`
	// Unfit: it is not what a prepare asks for, and Why says so. It doesn't count.
	Unfit bool `json:"unfit,omitempty"`
}

// Commanded is a command that was taken. Exactly one of Decision and Refused is set; neither of a deletion of what had ended.
type Commanded struct {
	ID       string `json:"id"`
	Sum      string `json:"sum,omitempty"` // Command.Sum
	Decision string `json:"decision,omitempty"`
	Refused  string `json:"refused,omitempty"` // why
	Advice   string `json:"advice,omitempty"`  // beside Decision: why that may not help, and what to do
}

// Spent is the id of a command that was obeyed a while ago.
type Spent struct {
	Key    string `json:"key"` // the first 16 hex digits of its SHA-256
	Sum    string `json:"sum,omitempty"`
	Number string `json:"number"` // of the decision: epoch.seq
}

// MaxCommanded bounds the commands whose outcome is kept whole, MaxSpent the ids of obeyed ones before them. A command that was refused, and is sent again after so many others, is
// looked at anew.
const (
	MaxCommanded = 16
	MaxSpent     = 1000
)

// MaxAnswers bounds the consumers whose newest ack is kept, but for those that are asked by name, who all have a place. Beyond it a new consumer's ack still counts for the decision
// that waits, but is not kept for show.
const MaxAnswers = 64

// Deadline is a point of wall time that somebody must watch: when it has passed, give Step an Expired.
type Deadline struct {
	ID   string
	AtMs int64
	Sink bool // of a sink's step
	// Later: it passes as soon as a later epoch of the model has begun to prepare, too. One that was refused has not.
	Later bool
	// Next: it has passed as soon as a later epoch of the model was committed, and not before.
	Next bool
	// Version is what is looked at until then: one that is to have no users any more; "": nothing is.
	Version string
}

// Due reports whether it has passed; later says that a later epoch of the model has begun.
func (d *Deadline) Due(wallMs int64, later bool) bool {
	if d.Next {
		return later
	}
	return d.AtMs <= wallMs || d.Later && later
}

// Deadlines are those to be watched now, in a fixed order: at most one per wait, stop that warms a cache, saga step, and version that is retired or was replaced, and two per
// alert and step of a registry.
func (s *State) Deadlines() []Deadline {
	var out []Deadline
	for _, w := range []*Wait{s.Wait, s.Freezing} {
		if w != nil {
			out = append(out, Deadline{ID: deadlineID(w.Decision, waitDeadline), AtMs: w.DeadlineMs})
		}
	}
	if w := s.Thawing; w != nil && w.Decision != "" {
		out = append(out, Deadline{ID: deadlineID(w.Decision, thawDeadline), AtMs: w.DeadlineMs})
	}
	out = append(out, s.alertDeadlines()...)
	if w := s.Warming; w != nil && w.DeadlineMs > 0 {
		out = append(out, Deadline{ID: deadlineID(w.Decision, string(w.Name)), AtMs: w.DeadlineMs})
	}
	if s.Status == StatusDeleted {
		return out
	}
	if s.lingers() {
		out = append(out, Deadline{ID: deadlineID(s.Prev.ID, nextDeadline), Next: true})
	}
	steps := s.steps()
	for i := range steps {
		if step := &steps[i]; step.open() && step.DeadlineMs > 0 {
			out = append(out, Deadline{ID: s.stepDeadline(step), AtMs: step.DeadlineMs, Sink: step.Sink != ""})
		}
		if step := &steps[i]; step.endsWithNext() {
			out = append(out, Deadline{ID: s.stepDeadline(step), Sink: true, Next: true})
		}
	}
	return append(out, s.retiredDeadlines()...)
}

// nextDeadline names the commit of the model's next rollout.
const nextDeadline = "next"

// lingers reports whether an epoch has ended with something that nobody here can see the end of: a start that a pillar kept from beginning, a rollback that was only advised, or one of many.
func (s *State) lingers() bool { return s.awaitsNext() || s.isChronic() }

// awaitsNext reports whether it is one of the first two: a start that was refused, a rollback that was only advised.
func (s *State) awaitsNext() bool {
	return !s.HandedOn && (s.Status == StatusRefused || s.Status == StatusRolledBack && !s.Terms.awaited() && !s.Terms.Unattended)
}

// isChronic reports whether it is recommended to roll forward since the model is rolled back again and again, which a rollback that is carried out doesn't end.
func (s *State) isChronic() bool {
	return !s.HandedOn && s.Status == StatusRolledBack && !s.Terms.Unattended && slices.ContainsFunc(s.Recommended(), func(r schemas.Reason) bool { return r.Code == codeChronic })
}

// waitDeadline names the deadline of State.Wait and State.Freezing.
const waitDeadline = "acks"

// stepDeadline names the deadline of a step: a rollback's are all of its first decision.
func (s *State) stepDeadline(step *SagaStep) string {
	if s.Saga != nil {
		return deadlineID(s.Saga.Decision, string(step.Name))
	}
	return deadlineID(step.Decision, string(step.Name))
}

func deadlineID(decision, what string) string { return decision + "/" + what }

// clone returns a state that shares no memory with s which Step could change.
func (s *State) clone() State {
	c := *s
	c.Terms.Labels = maps.Clone(s.Terms.Labels)
	c.Terms.Links = maps.Clone(s.Terms.Links)
	c.Terms.Routers = slices.Clone(s.Terms.Routers)
	c.Terms.State.Stores, c.Terms.State.Owing, c.Terms.State.Former = slices.Clone(s.Terms.State.Stores), slices.Clone(s.Terms.State.Owing), slices.Clone(s.Terms.State.Former)
	c.Terms.Cache.WarmBP, c.Terms.Cache.Mute = slices.Clone(s.Terms.Cache.WarmBP), slices.Clone(s.Terms.Cache.Mute)
	c.Terms.Cache.PromoteBP = slices.Clone(s.Terms.Cache.PromoteBP)
	c.Terms.Sinks.Registry, c.Terms.Sinks.Alert = slices.Clone(s.Terms.Sinks.Registry), slices.Clone(s.Terms.Sinks.Alert)
	c.Terms.Sinks.Dry = slices.Clone(s.Terms.Sinks.Dry)
	c.Terms.Alerts, c.Alerts = slices.Clone(s.Terms.Alerts), slices.Clone(s.Alerts)
	c.Truncated = slices.Clone(s.Truncated)
	c.Snapshots = slices.Clone(s.Snapshots)
	c.Past, c.ForwardToo = slices.Clone(s.Past), slices.Clone(s.ForwardToo)
	c.Pillars, c.Watched = slices.Clone(s.Pillars), slices.Clone(s.Watched)
	c.Routes = slices.Clone(s.Routes)
	c.Before = slices.Clone(s.Before)
	c.Terms.Stages = slices.Clone(s.Terms.Stages)
	c.Begun, c.Returns = slices.Clone(s.Begun), slices.Clone(s.Returns)
	c.Breached, c.Suspected = slices.Clone(s.Breached), slices.Clone(s.Suspected)
	c.Beyond, c.BeyondTold = slices.Clone(s.Beyond), slices.Clone(s.BeyondTold)
	c.Amiss = slices.Clone(s.Amiss)
	c.Commanded, c.Spent = slices.Clone(s.Commanded), slices.Clip(s.Spent) // these are never changed in place
	c.Refusals = slices.Clone(s.Refusals)
	c.Unstarted = slices.Clone(s.Unstarted)
	c.Answers = slices.Clone(s.Answers)
	c.Strays = slices.Clone(s.Strays)
	c.Wait, c.Freezing, c.Thawing = s.Wait.clone(), s.Freezing.clone(), s.Thawing.clone()
	if s.Warming != nil {
		warming := s.Warming.clone()
		c.Warming = &warming
	}
	if s.Hold != nil {
		hold := *s.Hold
		hold.Earlier = slices.Clone(s.Hold.Earlier)
		c.Hold = &hold
	}
	if s.Saga != nil {
		saga := *s.Saga
		saga.Steps = cloneSteps(s.Saga.Steps)
		saga.Drain = s.Saga.Drain.clone()
		c.Saga = &saga
	}
	if s.Promotion != nil {
		promotion := *s.Promotion
		promotion.Steps = cloneSteps(s.Promotion.Steps)
		c.Promotion = &promotion
	}
	c.Retired, c.Replaced, c.ReplacedToo = s.Retired.clone(), s.Replaced.clone(), clones(s.ReplacedToo)
	return c
}

func cloneSteps(steps []SagaStep) []SagaStep {
	c := slices.Clone(steps)
	for i := range c {
		c[i] = c[i].clone()
	}
	return c
}

func (s *SagaStep) clone() SagaStep {
	c := *s
	c.Wait = s.Wait.clone()
	if s.Warm != nil {
		warm := *s.Warm
		c.Warm = &warm
	}
	return c
}

func (w *Wait) clone() *Wait {
	if w == nil {
		return nil
	}
	c := *w
	c.Names = slices.Clone(w.Names)
	c.Stores = slices.Clone(w.Stores)
	c.Got = slices.Clone(w.Got)
	if w.Drain != nil {
		drain := w.Drain.clone()
		c.Drain = &drain
	}
	return &c
}

// newWait waits for those who must answer a decision.
func newWait(t *Terms, asks who, want schemas.AckStatus, d *schemas.Decision) *Wait {
	w := &Wait{Decision: d.ID, Seq: d.Seq, Want: want, NoRouter: asks&routers == 0}
	if !w.NoRouter {
		w.Names = slices.Clone(t.Routers)
	}
	if asks&stores != 0 {
		w.Stores = slices.Clone(t.State.Stores)
	}
	return w
}

// within is how soon they must answer.
func (w *Wait) within(t *Terms) int64 {
	asks := who(0)
	if !w.NoRouter {
		asks = routers
	}
	if len(w.Stores) > 0 {
		asks |= stores
	}
	return t.within(asks)
}

// missing are the names that have not answered; "any" among them where one router of any name is awaited.
func (w *Wait) missing() []string {
	var out []string
	anyone := func(name string) bool { return !slices.Contains(w.Stores, name) }
	if !w.NoRouter && len(w.Names) == 0 && !slices.ContainsFunc(w.Got, anyone) {
		out = append(out, anyRouter)
	}
	for _, name := range slices.Concat(w.Names, w.Stores) {
		if !slices.Contains(w.Got, name) {
			out = append(out, name)
		}
	}
	return out
}

// awaits reports whether a consumer's answer counts. A store's, or a sink's, is no router's.
func (w *Wait) awaits(consumer string, t *Terms) bool {
	if t.isStore(consumer) || t.isSink(consumer) {
		return slices.Contains(w.Stores, consumer)
	}
	return !w.NoRouter && (len(w.Names) == 0 || slices.Contains(w.Names, consumer))
}

// take counts an ack, and reports whether nobody is missing any more.
func (w *Wait) take(consumer string, t *Terms) bool {
	if !w.awaits(consumer, t) {
		return false
	}
	bounded := len(w.Got) < MaxAnswers || slices.Contains(w.Names, consumer) || slices.Contains(w.Stores, consumer) // where any router is enough, it has answered by then
	if at, found := slices.BinarySearch(w.Got, consumer); !found && bounded {
		w.Got = slices.Insert(w.Got, at, consumer)
	}
	return len(w.missing()) == 0
}

// satisfies reports whether an ack is an answer of the kind that is waited for. A store that has applied a freeze takes no writes: traffic doesn't wait for the other word. The
// prepare of a start is held to it (unfit). To have applied a later decision
// of the epoch is to have applied this one: as long as something waits for it, later ones (holds and their ends) have the same routes, and a router that
// comes late sees only the last.
func (w *Wait) satisfies(a *schemas.Ack) bool {
	if a.Status == schemas.AckApplied && a.Seq > w.Seq {
		return true
	}
	return a.Decision == w.Decision && a.Seq == w.Seq && (a.Status == w.Want || a.Status == schemas.AckApplied)
}
