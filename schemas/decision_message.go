package schemas

import (
	"fmt"
	"strconv"
	"strings"
)

// DecisionSchema is the CloudEvents type of a decision, and its `schema`.
const DecisionSchema = "streamcanary.decision.v1"

const (
	cloudEventsVersion = "1.0"
	jsonContent        = "application/json"
)

// A cloudEvent is the envelope of a decision: CloudEvents 1.0, structured mode, in JSON.
type cloudEvent[T any] struct {
	SpecVersion     string `json:"specversion"`
	Type            string `json:"type"`
	Source          string `json:"source"`
	ID              string `json:"id"`
	Subject         string `json:"subject"`
	Time            Time   `json:"time"`
	DataContentType string `json:"datacontenttype"`
	Data            T      `json:"data"`
}

// DecisionID names a decision by what it is, so that it is the same after a crash: the rollout (as EncodeName writes
// it), the epoch, and the number in the epoch. It fails where EncodeName does.
func DecisionID(rollout string, epoch, seq int64) (string, error) {
	token, err := EncodeName(rollout)
	if err != nil {
		return "", fmt.Errorf("decision id: %w", err)
	}
	return token + "." + strconv.FormatInt(epoch, 10) + "." + strconv.FormatInt(seq, 10), nil
}

// EncodeDecision writes a decision as the one JSON object that is signed and published: a CloudEvent whose source is
// the instance that speaks. The same decision gives the same bytes. It fails on what DecodeDecision would refuse;
// an empty d.Schema is filled in.
func EncodeDecision(source string, d *Decision) ([]byte, error) {
	body := *d
	if body.Schema == "" {
		body.Schema = DecisionSchema
	}
	event := cloudEvent[*Decision]{
		SpecVersion: cloudEventsVersion, Type: DecisionSchema, Source: source, ID: body.ID, Subject: body.Model,
		Time: body.IssuedAt, DataContentType: jsonContent, Data: &body,
	}
	if event.Time == 0 {
		event.Time = body.EventTime
	}
	err := checkEnvelope(&event)
	if err != nil {
		return nil, fmt.Errorf("encode decision %q: %w", d.ID, err)
	}
	data, err := encodeMessage(event, MaxDecisionBytes)
	if err != nil {
		return nil, fmt.Errorf("encode decision %q: %w", d.ID, err)
	}
	return data, nil
}

// DecodeDecision reads the body of a published decision. Fields that it doesn't know are passed over; a body that
// no valid decision has is an error. It proves nothing about who wrote it: Trust.Verify the bytes first.
func DecodeDecision(body []byte) (*Decision, error) {
	var event cloudEvent[*Decision]
	if err := decodeMessage(body, MaxDecisionBytes, &event); err != nil {
		return nil, fmt.Errorf("decode decision: %w", err)
	}
	if err := checkEnvelope(&event); err != nil {
		return nil, fmt.Errorf("decode decision %.100q: %w", event.ID, err)
	}
	return event.Data, nil
}

func checkEnvelope(e *cloudEvent[*Decision]) error {
	f := &fault{}
	f.unless(e.SpecVersion == cloudEventsVersion, "specversion is %q, not %q: this is no CloudEvent that can be read here", e.SpecVersion, cloudEventsVersion)
	f.unless(e.Type == DecisionSchema, "type is %q, not %q", e.Type, DecisionSchema)
	f.unless(e.Source != "", "source is missing")
	f.unless(e.DataContentType == jsonContent, "datacontenttype is %q, not %q", e.DataContentType, jsonContent)
	f.unless(e.Data != nil, "data is missing")
	if f.err != nil {
		return f.err
	}
	f.unless(e.ID == e.Data.ID, "the envelope's id %q is not the decision's, %q", e.ID, e.Data.ID)
	f.unless(e.Subject == e.Data.Model, "the envelope's subject %q is not the decision's model, %q", e.Subject, e.Data.Model)
	checkDecision(f, e.Data)
	return f.err
}

func checkDecision(f *fault, d *Decision) {
	f.unless(d.Schema == DecisionSchema, "schema is %q, not %q", d.Schema, DecisionSchema)
	f.id("id", d.ID)
	f.number("epoch", d.Epoch)
	f.number("seq", d.Seq)
	f.name("model", d.Model)
	f.name("rollout", d.Rollout)
	f.unless(d.Stage >= 0, "stage is %d", d.Stage)
	oneOf(f, "mode", d.Mode, Enforce, Advise)
	oneOf(f, "action", d.Action, ActionStart, ActionAdvance, ActionPromote, ActionRollback, ActionHold, ActionFreeze,
		ActionResume, ActionRetry, ActionSupersede, ActionRollForward)
	if d.Phase != "" {
		oneOf(f, "phase", d.Phase, PhasePrepare, PhaseCommit, PhaseAbort)
	}
	oneOf(f, "severity", d.Severity, Info, Warning, Critical)
	oneOf(f, "actor.kind", d.Actor.Kind, "engine", "person")
	f.unless(d.Reason.Code != "", "reason.code is missing")
	f.unless(d.Reason.Sentence != "", "reason.sentence is missing")
	f.unless(d.Action != ActionRollback || d.ExpiresAt == 0, "expires_at is %s, but a rollback never expires", d.ExpiresAt)
	if d.Prev != nil {
		f.id("prev.id", d.Prev.ID)
		f.unless(isSha256(d.Prev.Sha256), "prev.sha256 %.100q is no SHA-256 in lower-case hex", d.Prev.Sha256)
	}
	checkRoutes(f, "routes", d.Routes)
	checkRoutes(f, "previous_routes", d.PreviousRoutes)
	checkState(f, d.State)
}

// checkState refuses orders that a store could not carry out.
func checkState(f *fault, orders []StateOrder) {
	f.unless(len(orders) <= MaxStores, "state: %d orders, %d are allowed", len(orders), MaxStores)
	for i, o := range orders {
		oneOf(f, fmt.Sprintf("state[%d].do", i), o.Do, StateSnapshot, StateFreeze, StateRestore, StateUnfreeze, StateUse)
		f.unless(o.Do != StateRestore || o.Snapshot != "", "state[%d].snapshot is missing: nothing says what to restore", i)
		f.unless(o.Do != StateUse || o.Namespace != "", "state[%d].namespace is missing", i)
		f.unless(o.Do == StateUse || o.Store != "", "state[%d].store is missing", i)
	}
}

const (
	wholeBP   = 10000 // all of the traffic, in basis points
	sha256Hex = 64
)

// checkRoutes refuses routes that a router could not carry out. No routes at all are fine: nothing changes.
func checkRoutes(f *fault, what string, routes []Route) {
	f.unless(len(routes) <= maxRoutes, "%s: %d of them, %d are allowed", what, len(routes), maxRoutes)
	if len(routes) == 0 || f.err != nil {
		return
	}
	sum := 0
	for i, r := range routes {
		f.name(fmt.Sprintf("%s[%d].version", what, i), r.Version)
		f.unless(0 <= r.WeightBP && r.WeightBP <= wholeBP, "%s[%d].weight_bp is %d, outside 0..%d", what, i, r.WeightBP, wholeBP)
		f.unless(0 <= r.MirrorBP && r.MirrorBP <= wholeBP, "%s[%d].mirror_bp is %d, outside 0..%d", what, i, r.MirrorBP, wholeBP)
		for _, before := range routes[:i] {
			f.unless(before.Version != r.Version, "%s: version %q stands there twice", what, r.Version)
		}
		sum += r.WeightBP
	}
	f.unless(sum == wholeBP, "%s: the weights sum to %d, not %d", what, sum, wholeBP)
}

func isSha256(text string) bool {
	return len(text) == sha256Hex && strings.Trim(text, "0123456789abcdef") == ""
}

// EncodeAck writes an ack; it fails on what DecodeAck would refuse.
func EncodeAck(a *Ack) ([]byte, error) {
	if err := checkAck(a); err != nil {
		return nil, fmt.Errorf("encode ack of %q: %w", a.Decision, err)
	}
	data, err := encodeMessage(a, MaxAckBytes)
	if err != nil {
		return nil, fmt.Errorf("encode ack of %q: %w", a.Decision, err)
	}
	return data, nil
}

// DecodeAck reads an ack. Fields that it doesn't know are passed over.
func DecodeAck(data []byte) (*Ack, error) {
	var a Ack
	if err := decodeMessage(data, MaxAckBytes, &a); err != nil {
		return nil, fmt.Errorf("decode ack: %w", err)
	}
	if err := checkAck(&a); err != nil {
		return nil, fmt.Errorf("decode ack of %.100q: %w", a.Decision, err)
	}
	return &a, nil
}

// MaxSnapshotBytes bounds the name of a snapshot.
const MaxSnapshotBytes = 256

// Why a subscriber may reject a decision.
const (
	WhyStaleEpoch        = "stale-epoch"
	WhyIncompatibleState = "incompatible-state"
	WhyCapacity          = "capacity"
	WhyPolicy            = "policy"
)

func checkAck(a *Ack) error {
	f := &fault{}
	f.id("decision", a.Decision)
	f.number("epoch", a.Epoch)
	f.number("seq", a.Seq)
	f.name("consumer", a.Consumer)
	f.unless(len(a.Instance) <= MaxNameBytes, "instance has %d bytes, %d are allowed", len(a.Instance), MaxNameBytes)
	f.unless(len(a.Snapshot) <= MaxSnapshotBytes, "snapshot has %d bytes, %d are allowed", len(a.Snapshot), MaxSnapshotBytes)
	oneOf(f, "status", a.Status, AckReceived, AckPrepared, AckApplied, AckRejected, AckFailed)
	if a.Status == AckRejected {
		oneOf(f, "why", a.Why, WhyStaleEpoch, WhyIncompatibleState, WhyCapacity, WhyPolicy)
	}
	return f.err
}
