package schemas

import "fmt"

// NoticeKind says what a notice is about; it is the last token of its subject.
type NoticeKind string

// The kinds of notices. NoticeAcksOverdue, NoticeAckRefused, NoticeDrainOverdue, NoticeRetiredServes, NoticeNoRefuge, NoticeSinkOverdue, NoticeSinkRefused, NoticeRolloutLost and NoticeForeignDecision are escalations: a step of a decision
// failed or is overdue, or decisions are in danger. A reader passes over kinds that it doesn't know.
const (
	NoticeAcksOverdue       NoticeKind = "acks-overdue"       // Waiting says for whom
	NoticeAckRefused        NoticeKind = "ack-refused"        // Waiting says by whom
	NoticeDrainOverdue      NoticeKind = "drain-overdue"      // the canary is still in the stream
	NoticeRollbackCompleted NoticeKind = "rollback-completed" // Times and Outcome are set; Waiting are steps that people were told of and that aren't done
	NoticeSinkOverdue       NoticeKind = "sink-overdue"       // Waiting says which steps of a rollback: a registry, or what tells people
	NoticeSinkRefused       NoticeKind = "sink-refused"       // likewise: it isn't tried again
	NoticeSinkDone          NoticeKind = "sink-done"          // one of those is done after all; Waiting as of rollback-completed
	NoticeWritesAgain       NoticeKind = "writes-again"       // stores of which people were told take writes again; Waiting as of rollback-completed
	NoticeAcksComplete      NoticeKind = "acks-complete"      // whose answers people were told are missing, or refusals, have answered as is wanted, or a promotion that nobody answers (stages: external) is seen in the stream; Waiting as of share-as-planned
	NoticeHandedOn          NoticeKind = "handed-on"          // what people were told isn't done is up to the model's next rollout now, or a person's freeze wants the contrary (Order unfreeze); Waiting as of rollback-completed
	NoticeCommandRefused    NoticeKind = "command-refused"    // Actor says whose
	NoticeRolloutDeleted    NoticeKind = "rollout-deleted"    // by Actor, one that had ended: nobody follows what was left to do
	NoticeRolloutLost       NoticeKind = "rollout-lost"       // this judge decides no longer for the rollout: another one does, the decision log lost decisions, or its record is gone
	NoticeRolloutFound      NoticeKind = "rollout-found"      // a judge decides for it again, and nothing else that people were told of stands
	NoticeForeignDecision   NoticeKind = "foreign-decision"   // something stands in the decision log, or as a route, that the judge didn't sign: who can write there?
	NoticeForeignOver       NoticeKind = "foreign-over"       // nothing more of that came for an hour, and nothing else that people were told of stands
	NoticeGuardrailSuspect  NoticeKind = "guardrail-suspect"  // Guardrails says which: harm is proven, and looks like more than the margin
	NoticeGuardrailClear    NoticeKind = "guardrail-clear"    // it was suspect, and has not been for a while; Waiting as of share-as-planned
	NoticeGuardrailWarning  NoticeKind = "guardrail-warning"  // Guardrails says which failed, or are suspect, of those that only warn
	NoticeAlertsTruncated   NoticeKind = "alerts-truncated"   // Alertmanager left alerts out of a message: Guardrails are those from outside, which may miss one
	NoticeAlertsWhole       NoticeKind = "alerts-whole"       // its messages have all alerts again; Waiting as of share-as-planned
	NoticeBaselineBeyond    NoticeKind = "baseline-beyond"    // Guardrails says which limits the baseline itself is proven to be beyond; by itself that changes nothing
	NoticeNoRefuge          NoticeKind = "no-refuge"          // likewise, when a rollback that is carried out has given it all users
	NoticeNoRefugeOver      NoticeKind = "no-refuge-over"     // it hasn't been proven for a while, or nobody looks any more; Waiting as of rollback-completed
	NoticeShareOffPlan      NoticeKind = "share-off-plan"     // what a version gets of the traffic isn't what the stage plans: nothing, or too little or too much for a pass
	NoticeShareAsPlanned    NoticeKind = "share-as-planned"   // it is again; Waiting is what else people were told of, and that isn't over
	NoticeRetiredServes     NoticeKind = "retired-serves"     // the version that a rollback, a promotion or another rollout has taken all traffic from serves users, still or again
	NoticeRetiredOver       NoticeKind = "retired-over"       // it doesn't any more, as Outcome says, or a later epoch has begun; Waiting as of rollback-completed
	NoticePillarFailed      NoticeKind = "pillar-failed"      // what held before the start of a rollout doesn't any more
	NoticePillarHeld        NoticeKind = "pillar-held"        // it does again; Waiting as of share-as-planned
)

// NoticeOutcome says how a rollback was completed, or what people were told of a version that was retired ended.
type NoticeOutcome string

// How that was.
const (
	OutcomeDone         NoticeOutcome = "done"
	OutcomeDoneUnproven NoticeOutcome = "done_unproven" // no traffic came that could prove the drain
)

// NoticeSchema is the `schema` of a notice.
const NoticeSchema = "streamcanary.event.v1"

// A Notice tells people and machines what became of a decision (streamcanary.event.<model>.<kind>). It is published at
// least once under a deterministic ID. Nobody has to act on it: only decisions are obeyed.
type Notice struct {
	Schema     string         `json:"schema"`
	ID         string         `json:"id"`
	Kind       NoticeKind     `json:"kind"`
	Severity   Severity       `json:"severity"`
	Model      string         `json:"model"`
	Rollout    string         `json:"rollout"`
	Epoch      int64          `json:"epoch"`
	Decision   string         `json:"decision,omitempty"` // the id of the one that it is about
	Version    string         `json:"version,omitempty"`  // of retired-serves and retired-over: which version serves users that is to have none
	Sentence   string         `json:"sentence"`           // one plain sentence: what happened, and what to do
	Attempt    int            `json:"attempt,omitempty"`  // deadlines passed so far
	Waiting    []string       `json:"waiting,omitempty"`
	Actor      *Actor         `json:"actor,omitempty"`      // of what a person did, or wanted: who, and why
	Order      StateDo        `json:"order,omitempty"`      // of answers of stores, where that is no step of a rollback: what they were asked, freeze or unfreeze
	Guardrails []string       `json:"guardrails,omitempty"` // with their segments: "p99 in de"
	Outcome    NoticeOutcome  `json:"outcome,omitempty"`
	Times      *RollbackTimes `json:"times,omitempty"`
	EventTime  Time           `json:"event_time,omitzero"`
	At         Time           `json:"at,omitzero"` // wall time
}

// RollbackTimes is how long a rollback took, from the harm to the last of the canary's traffic. HarmBegan (estimated),
// Detected (the end of the window that tipped it) and Drained (the end of the window that proved it) are event time,
// Decided and Acked wall time. Zero is unknown.
type RollbackTimes struct {
	HarmBegan Time `json:"harm_began,omitzero"`
	Detected  Time `json:"detected,omitzero"`
	Decided   Time `json:"decided,omitzero"`
	Acked     Time `json:"acked,omitzero"`
	Drained   Time `json:"drained,omitzero"`
}

// EncodeNotice writes a notice; it fails on what DecodeNotice would refuse. An empty n.Schema is filled in.
func EncodeNotice(n *Notice) ([]byte, error) {
	body := *n
	if body.Schema == "" {
		body.Schema = NoticeSchema
	}
	if err := checkNotice(&body); err != nil {
		return nil, fmt.Errorf("encode notice %q: %w", n.ID, err)
	}
	data, err := encodeMessage(body, MaxNoticeBytes)
	if err != nil {
		return nil, fmt.Errorf("encode notice %q: %w", n.ID, err)
	}
	return data, nil
}

// DecodeNotice reads a notice. Fields that it doesn't know are passed over.
func DecodeNotice(data []byte) (*Notice, error) {
	var n Notice
	if err := decodeMessage(data, MaxNoticeBytes, &n); err != nil {
		return nil, fmt.Errorf("decode notice: %w", err)
	}
	if err := checkNotice(&n); err != nil {
		return nil, fmt.Errorf("decode notice %.100q: %w", n.ID, err)
	}
	return &n, nil
}

func checkNotice(n *Notice) error {
	f := &fault{}
	f.unless(n.Schema == NoticeSchema, "schema is %q, not %q", n.Schema, NoticeSchema)
	f.id("id", n.ID)
	f.name("kind", string(n.Kind))
	f.name("model", n.Model)
	f.name("rollout", n.Rollout)
	f.number("epoch", n.Epoch)
	f.unless(len(n.Version) <= MaxNameBytes, "version has %d bytes, %d are allowed", len(n.Version), MaxNameBytes)
	oneOf(f, "severity", n.Severity, Info, Warning, Critical)
	f.unless(n.Sentence != "", "sentence is missing")
	f.unless(n.Kind != NoticeRollbackCompleted || n.Times != nil, "times are missing")
	return f.err
}

// HeartbeatSchema is the `schema` of a heartbeat.
const HeartbeatSchema = "streamcanary.heartbeat.v1"

// A Heartbeat says that a judge is alive: subscribers that hear none for a few of its EveryMs know that nobody
// watches the canary.
type Heartbeat struct {
	Schema   string        `json:"schema"`
	Instance string        `json:"instance"`
	Program  string        `json:"program,omitempty"` // version
	At       Time          `json:"at"`
	EveryMs  int64         `json:"every_ms"` // the next one comes this much later; at most MaxBeatEveryMs
	Rollouts []RolloutBeat `json:"rollouts,omitempty"`
}

// MaxBeatEveryMs bounds what a heartbeat can say of the next one: whoever waits for it must not wait for ever.
const MaxBeatEveryMs = 60 * 60 * 1000

// RolloutBeat is where a judge stands with one rollout.
type RolloutBeat struct {
	Model     string `json:"model"`
	Rollout   string `json:"rollout"`
	Epoch     int64  `json:"epoch"`
	Seq       int64  `json:"seq"`                // of the last decision
	Watermark Time   `json:"watermark,omitzero"` // event time that has been judged
}

// EncodeHeartbeat writes a heartbeat; it fails on what DecodeHeartbeat would refuse. An empty h.Schema is filled in.
func EncodeHeartbeat(h *Heartbeat) ([]byte, error) {
	body := *h
	if body.Schema == "" {
		body.Schema = HeartbeatSchema
	}
	if err := checkHeartbeat(&body); err != nil {
		return nil, fmt.Errorf("encode heartbeat: %w", err)
	}
	data, err := encodeMessage(body, MaxBeatBytes)
	if err != nil {
		return nil, fmt.Errorf("encode heartbeat: %w", err)
	}
	return data, nil
}

// DecodeHeartbeat reads a heartbeat. Fields that it doesn't know are passed over.
func DecodeHeartbeat(data []byte) (*Heartbeat, error) {
	var h Heartbeat
	err := decodeMessage(data, MaxBeatBytes, &h)
	if err == nil {
		err = checkHeartbeat(&h)
	}
	if err != nil {
		return nil, fmt.Errorf("decode heartbeat: %w", err)
	}
	return &h, nil
}

func checkHeartbeat(h *Heartbeat) error {
	f := &fault{}
	f.unless(h.Schema == HeartbeatSchema, "schema is %q, not %q", h.Schema, HeartbeatSchema)
	f.name("instance", h.Instance)
	f.number("every_ms", h.EveryMs)
	f.unless(h.EveryMs <= MaxBeatEveryMs, "every_ms is %d, at most %d are allowed", h.EveryMs, int64(MaxBeatEveryMs))
	for i, r := range h.Rollouts {
		f.name(fmt.Sprintf("rollouts[%d].model", i), r.Model)
		f.name(fmt.Sprintf("rollouts[%d].rollout", i), r.Rollout)
	}
	return f.err
}
