package decisions

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"streamcanary/schemas"
)

// Bounds of what the machine writes.
const (
	// MaxBodyBytes bounds a decision's body. A decision that would be longer keeps only the guardrails that failed or are
	// suspect, at most MaxShort of them, then these lose their exemplars, then it loses its labels and links, and then has no guardrails: a decision is never lost to its size.
	MaxBodyBytes = 64 << 10
	MaxShort     = 8
	// MaxSentence bounds a sentence, MaxWhy a subscriber's reason, in bytes; the rest is cut.
	MaxSentence = 1024
	MaxWhy      = 256
	// maxNamed bounds the guardrails that a notice, or a refusal, names.
	maxNamed = 32
	// MaxStages bounds the stages of a rollout.
	MaxStages = 32
)

// draft is what differs between decisions.
type draft struct {
	action     schemas.Action
	phase      schemas.Phase
	severity   schemas.Severity
	routes     []schemas.Route
	reason     schemas.Reason
	evidence   schemas.Evidence
	actor      schemas.Actor
	supersedes string
	override   []string // what a person went past
	state      []schemas.StateOrder
	urgent     bool              // of a rollback: it doesn't wait for a warm cache
	asks       who               // who must answer
	await      schemas.AckStatus // State.Wait waits for this answer of them; "": it doesn't
	follows    bool              // what is decided follows from what was decided before, and its reason is that one's
}

// who are those that must answer a decision.
type who uint8

const (
	routers who = 1 << iota
	stores
)

// as completes a draft.
func (d draft) as(action schemas.Action, severity schemas.Severity) draft {
	d.action, d.severity = action, severity
	return d
}

// decide takes the next decision of the epoch.
func (t *turn) decide(d draft) *schemas.Decision {
	s := &t.s
	s.Seq++
	decision := &schemas.Decision{
		Schema: schemas.DecisionSchema, ID: idOf(&s.Terms, s.Epoch, s.Seq),
		Epoch: s.Epoch, Seq: s.Seq, Prev: s.Prev,
		Model: s.Terms.Model, Rollout: s.Terms.Rollout, Labels: maps.Clone(s.Terms.Labels), Mode: s.Terms.Mode,
		Stage: s.Stage, Action: d.action, Phase: d.phase, Severity: d.severity,
		Routes: d.routes, PreviousRoutes: s.previous(),
		Salt:   s.salt(d.routes),
		State:  d.state,
		Reason: d.reason, Evidence: d.evidence,
		EventTime: schemas.Time(s.EventMs), IssuedAt: schemas.Time(t.in.WallMs),
		Supersedes: d.supersedes, Override: d.override, Actor: d.actor, Links: maps.Clone(s.Terms.Links),
	}
	decision.Reason.Code = cmp.Or(d.reason.Code, string(d.action))
	decision.Reason.Sentence = clip(cmp.Or(d.reason.Sentence, fmt.Sprintf("Rollout %s: %s.", s.Terms.Rollout, d.action)), MaxSentence)
	if len(d.reason.Guardrails) > 0 || d.reason.Code == codeAlert {
		decision.Reason.Guardrails = append(slices.Clone(d.reason.Guardrails), s.AlertStatus()...)
	}
	decision.Evidence.Inputs = slices.Clone(t.in.Read)
	decision.Evidence.RolloutSha256 = s.Terms.Sha256
	decision.Evidence.Program = cmp.Or(decision.Evidence.Program, s.Terms.Program)
	if d.state == nil {
		decision.State = s.state(d.routes)
	}
	decision.State = s.owed(decision.State)
	t.thawsBy(decision)
	decision.Cache, decision.Mute = s.caches(decision), s.mutes(decision)
	t.returnsBy(decision)
	if decision.Acks = s.Terms.askedFor(d.asks); decision.Acks != nil {
		decision.Deadline = schemas.Time(t.in.WallMs + s.Terms.within(d.asks))
	}
	body := fit(&s.Terms, decision)
	if d.await != "" && decision.Acks != nil {
		told := s.toldUnprepared() && d.await == schemas.AckPrepared
		s.Wait = newWait(&s.Terms, d.asks, d.await, decision)
		s.Wait.Told = told
		s.Wait.DeadlineMs = int64(decision.Deadline)
	}
	t.record(decision, body)
	begins := d.action == schemas.ActionStart && (s.Seq == 1 || d.actor.Kind != "person") // one after a person's hold is their decision, and so is its end
	if !begins && (!d.follows || d.actor.Kind == "person") {
		s.why(&decision.Reason)
	}
	effective := s.Terms.Mode == schemas.Enforce && len(d.routes) > 0
	t.out = append(t.out, Effect{Decision: &Decided{Decision: *decision, Body: body, Routes: effective}})
	return decision
}

// First is the id of the epoch's first decision.
func (s *State) First() string { return idOf(&s.Terms, s.Epoch, 1) }

// previous are the routes in force before a decision, as far as they are known.
func (s *State) previous() []schemas.Route {
	if s.Routes != nil {
		return s.Routes
	}
	return s.Before
}

// salt is what routers hash units with where routes share the traffic out between versions; "" elsewhere. It is the same in a whole epoch, so that
// another weight moves as few units as it must, and another one in each epoch, so that a new one doesn't draw the same units again.
func (s *State) salt(routes []schemas.Route) string {
	served := 0
	for _, r := range routes {
		if r.WeightBP > 0 {
			served++
		}
	}
	if served < 2 {
		return ""
	}
	return fmt.Sprintf("%s.%d", s.Terms.Rollout, s.Epoch)
}

// record notes a decision in the state.
func (t *turn) record(d *schemas.Decision, body []byte) {
	sum := sha256.Sum256(body)
	t.s.Prev = &schemas.Prev{ID: d.ID, Sha256: hex.EncodeToString(sum[:])}
	if len(d.Routes) > 0 && d.Mode == schemas.Enforce {
		t.s.Routes = slices.Clone(d.Routes)
	}
}

// why notes a reason without what it stands on.
func (s *State) why(r *schemas.Reason) {
	s.Why = &schemas.Reason{Code: r.Code, Sentence: clip(r.Sentence, MaxSentence)}
}

// listed joins names for a sentence.
func listed(names []string) string {
	if len(names) == 1 && names[0] == anyRouter {
		return "any router"
	}
	return strings.Join(names, ", ")
}

// agreed joins names with the verb that goes with one, or with several.
func agreed(names []string, one, several string) string {
	if len(names) == 1 {
		return listed(names) + " " + one
	}
	return listed(names) + " " + several
}

// clip cuts a text at a bound of bytes, between runes.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}

// clipWords is clip behind a whole word, and shows that there was more; one word that is longer than that is clipped as it is.
func clipWords(s string, most int) string {
	const more = " …"
	if len(s) <= most {
		return s
	}
	cut := clip(s, most-len(more))
	if at := strings.LastIndexByte(cut, ' '); at > 0 {
		cut = cut[:at]
	}
	return strings.TrimRight(cut, ",;:") + more
}

// ending is a sentence that ends with what to do, however long is what was told before.
func ending(told, do string) string {
	return clip(clip(told, max(0, MaxSentence-len(do)-1))+" "+do, MaxSentence)
}

func orUnknown(why string) string { return cmp.Or(clip(why, MaxWhy), "no reason given") }

func compare(a, b string) int { return strings.Compare(a, b) }
