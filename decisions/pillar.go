package decisions

import (
	"fmt"
	"slices"
	"strings"

	"streamcanary/schemas"
)

// codePillarFailed is the reason of a start that was refused: something that must hold before it doesn't.
const codePillarFailed = "pillar_failed"

// PillarName names what must hold before a rollout starts.
type PillarName string

// The pillars. PillarRouting is no part of what a start records: its prepare waits for the routers' answers.
const (
	PillarRegistry PillarName = "registry"
	PillarInput    PillarName = "input"
	PillarOutput   PillarName = "output"
	PillarFeatures PillarName = "features"
	PillarRouting  PillarName = "routing"
)

// PillarState is what came of checking a pillar.
type PillarState string

// The states of a pillar. A start has only those that were checked.
const (
	PillarHeld      PillarState = "held"
	PillarFailed    PillarState = "failed"
	PillarUnchecked PillarState = "unchecked"
	// PillarUnknown: of a rollout that runs: who would have to be asked doesn't answer.
	PillarUnknown PillarState = "unknown"
)

// A Pillar is what was found of one thing that must hold. Make it with NewPillar, which keeps its bounds.
type Pillar struct {
	Name  PillarName  `json:"name"`
	State PillarState `json:"state"`
	Found []string    `json:"found,omitempty"` // a sentence each: why it failed, or who was not asked
	Pins  []Pin       `json:"pins,omitempty"`  // of the registry: what the versions were at first sight
	// Baseline: of a registry's that failed: the version to go back to is concerned.
	Baseline bool `json:"baseline,omitempty"`
	// Away: it failed because whoever would have to say didn't answer, and for nothing else.
	Away bool `json:"away,omitempty"`
	// Changes are what differs between the versions, a few words each: what fits all the same, too.
	Changes []string `json:"changes,omitempty"`
}

// A Pin is what a version of a registered model was when a rollout of it started. A version must never become another one.
type Pin struct {
	Model   string `json:"model"` // the registered model
	Version string `json:"version"`
	Source  string `json:"source,omitempty"`
	RunID   string `json:"run_id,omitempty"`
	Tag     string `json:"tag,omitempty"`    // where its digest stands
	Digest  string `json:"digest,omitempty"` // what the tag said
}

// Bounds of what is kept of the pillars.
const (
	MaxPillars    = 4
	MaxFound      = 12
	MaxFoundBytes = 600
	MaxChanges    = 12
	MaxChangeSize = 200 // bytes
	MaxPins       = 2
	MaxPinBytes   = 1024 // of each of a pin's texts
)

// NewPillar is a pillar within its bounds: sentences beyond them are cut or counted.
func NewPillar(name PillarName, state PillarState, found []string, pins ...Pin) Pillar {
	p := Pillar{Name: name, State: state}
	for i, sentence := range found {
		if i == MaxFound-1 && len(found) > MaxFound {
			p.Found = append(p.Found, fmt.Sprintf("and %d more", len(found)-i))
			break
		}
		p.Found = append(p.Found, clipWords(sentence, MaxFoundBytes))
	}
	for _, pin := range pins[:min(len(pins), MaxPins)] {
		for _, field := range []*string{&pin.Model, &pin.Version, &pin.Source, &pin.RunID, &pin.Tag, &pin.Digest} {
			*field = clip(*field, MaxPinBytes)
		}
		p.Pins = append(p.Pins, pin)
	}
	return p
}

// Changed is the pillar with what differs between the versions, within its bounds.
func (p Pillar) Changed(changes []string) Pillar {
	p.Changes = nil
	for i, change := range changes {
		if i == MaxChanges-1 && len(changes) > MaxChanges {
			change = fmt.Sprintf("and %d more", len(changes)-i)
		}
		p.Changes = append(p.Changes, clip(change, MaxChangeSize))
		if len(p.Changes) == MaxChanges {
			break
		}
	}
	return p
}

// changesOf is all that differs between the versions, features first: they are what a model lives on.
func changesOf(all []Pillar) []string {
	var changes []string
	for _, name := range []PillarName{PillarFeatures, PillarInput, PillarOutput} {
		for i := range all {
			if p := &all[i]; p.Name == name {
				changes = append(changes, p.Changes...)
			}
		}
	}
	return changes
}

// FailedPillars says in a sentence's part which pillars failed, "pillar input failed: …" or "pillars registry and input failed: registry: …; input: …", and of each the first
// reason; "" if none did.
func FailedPillars(all []Pillar) string {
	var names, why []string
	for i := range all {
		if p := &all[i]; p.State == PillarFailed {
			names = append(names, string(p.Name))
			why = append(why, firstReason(p.Found))
		}
	}
	switch len(names) {
	case 0:
		return ""
	case 1:
		return strings.TrimSuffix(fmt.Sprintf("pillar %s failed: %s", names[0], why[0]), ": ")
	}
	each := MaxFoundBytes/len(names) - 30 // so that each has its part of what is told
	for i, name := range names {
		why[i] = name + ": " + clipWords(why[i], each)
	}
	return fmt.Sprintf("pillars %s and %s failed: %s", strings.Join(names[:len(names)-1], ", "), names[len(names)-1], strings.Join(why, "; "))
}

// failedNames are the pillars that failed, as they stand among what a person went past.
func failedNames(all []Pillar) []string {
	var names []string
	for i := range all {
		if p := &all[i]; p.State == PillarFailed {
			names = append(names, pillarNamed(p.Name))
		}
	}
	return names
}

// passPillars notes which pillars a way back has gone past: while these go on to fail, they are no news, and hold nothing. What nobody could be asked about is unknown, and what is found of it then is news.
func (t *turn) passPillars(all []Pillar) {
	for i := range all {
		p := &all[i]
		if p.State != PillarFailed {
			continue
		}
		w := Watched{Name: p.Name, State: PillarFailed, SinceMs: t.in.WallMs, Found: p.Found, Baseline: p.Baseline, Waived: true}
		if p.Away {
			w = Watched{Name: p.Name, State: PillarHeld}
			w.see(&Pillar{State: PillarUnknown, Found: p.Found}, t.in.WallMs)
		}
		t.s.Watched = append(t.s.Watched, w)
	}
}

// pillarNamed is how a pillar that fails is named among what stands, and what a person went past.
func pillarNamed(name PillarName) string { return "pillar " + string(name) }

// firstReason is the first of sentences, and how many there are beside it.
func firstReason(found []string) string {
	switch len(found) {
	case 0:
		return ""
	case 1:
		return strings.TrimSuffix(found[0], ".")
	}
	return fmt.Sprintf("%s (and %d more)", strings.TrimSuffix(found[0], "."), len(found)-1)
}

// checkPillars refuses what no check could have found, in one of these states.
func checkPillars(all []Pillar, states ...PillarState) error {
	if len(all) > MaxPillars {
		return fmt.Errorf("%d pillars, at most %d", len(all), MaxPillars)
	}
	for i := range all {
		p := &all[i]
		if !slices.Contains(states, p.State) || len(p.Found) > MaxFound || len(p.Pins) > MaxPins || len(p.Changes) > MaxChanges {
			return fmt.Errorf("pillar %q: state %q, %d sentences, %d pins, %d changes", p.Name, p.State, len(p.Found), len(p.Pins), len(p.Changes))
		}
	}
	return nil
}

// refusedStart ends an epoch before it began, and reports whether it did: one of its pillars failed, and no admin goes back past that. No traffic is moved: what routers do stays as it is.
func (t *turn) refusedStart(a *Applied) bool {
	why := FailedPillars(a.Pillars)
	if why == "" || a.Terms.Back.PastPillars() {
		return false
	}
	t.s.Status = StatusRefused
	again := "apply the rollout again"
	if a.Terms.Back != nil {
		again = fmt.Sprintf("go back again, with `streamcanary rollout back %[1]s --comment WHY` (where users can't wait for that, `streamcanary rollout back %[1]s --override --comment WHY` goes past it, which takes an admin, and the decision says so)", a.Terms.Back.Rollout)
	}
	d := draft{
		action: schemas.ActionStart, phase: schemas.PhaseAbort, severity: schemas.Warning, actor: a.Actor,
		reason: schemas.Reason{Code: codePillarFailed, Sentence: fmt.Sprintf(
			"Rollout %s does not start, and no traffic is moved: %s. Mend it, then %s; `streamcanary rollout show %s` has all reasons.",
			a.Terms.Rollout, clipWords(why, len("pillar ")+MaxFoundBytes), again, a.Terms.Rollout)},
	}
	if a.Retry {
		d.action = schemas.ActionRetry
	}
	t.decide(d)
	t.s.why(&d.reason)
	return true
}

// PinsOf are the pins of a state's pillars. A refused start keeps those from before it.
func PinsOf(s *State) []Pin {
	var pins []Pin
	for i := range s.Pillars {
		pins = append(pins, s.Pillars[i].Pins...)
	}
	return pins
}

// RoutingPillar says whether traffic can be switched without a deploy: routers have answered the current epoch of the model. Of a model without an epoch
// (nil) that can't be known: its start will wait for them.
func RoutingPillar(t *Terms, current *State) Pillar {
	switch {
	case t.Mode == schemas.Advise:
		return NewPillar(PillarRouting, PillarHeld, []string{"mode: advise needs no router"})
	case t.External:
		return NewPillar(PillarRouting, PillarHeld, []string{"stages: external needs no router: another controller moves the weights"})
	case current == nil || current.Epoch == 0:
		return NewPillar(PillarRouting, PillarUnchecked, []string{fmt.Sprintf("no rollout of model %s is there, running or ended, that its routers have answered: the start waits until its routers have answered that they are prepared", t.Model)})
	}
	got, others := current.ready(t)
	var needed []string
	for _, name := range t.Routers {
		if !slices.Contains(got, name) {
			needed = append(needed, name)
		}
	}
	if len(t.Routers) == 0 && len(got) == 0 {
		needed = []string{anyRouter}
	}
	aside := ""
	if others != nil {
		aside = fmt.Sprintf(" (answers of names that acks.routers doesn't have: %s)", listed(others[:min(len(others), maxRouters)]))
	}
	if needed != nil {
		return NewPillar(PillarRouting, PillarFailed, []string{fmt.Sprintf(
			"epoch %d of model %s (rollout %s) was not answered by %s%s: does it run, with the name that acks.routers has, and is it allowed to acknowledge?",
			current.Epoch, t.Model, current.Terms.Rollout, listed(needed), aside)})
	}
	return NewPillar(PillarRouting, PillarHeld, []string{fmt.Sprintf("epoch %d of model %s was answered by %s%s", current.Epoch, t.Model, listed(got), aside)})
}

// ready are who has answered the epoch as a router does that can be switched: those whom a rollout would ask, and others, whom nobody asks. Where any router is enough for it, it is one that
// this epoch asks.
func (s *State) ready(t *Terms) (asked, others []string) {
	asks := t
	if len(t.Routers) == 0 {
		asks = &s.Terms
	}
	for _, a := range s.Answers {
		switch {
		case a.Status != schemas.AckPrepared && a.Status != schemas.AckApplied, a.Unfit, s.Terms.isStore(a.Consumer), s.Terms.isSink(a.Consumer):
		case asks.asksRouter(a.Consumer):
			asked = append(asked, a.Consumer)
		case s.Stranger(a.Consumer):
			others = append(others, a.Consumer)
		}
	}
	return asked, others
}
