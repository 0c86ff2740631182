package schemas

import "fmt"

// NoticeKind says what a notice is about; it is the last token of its subject.
type NoticeKind string

// The kinds of notices. A reader passes over kinds that it doesn't know.
const (
	NoticeRollbackCompleted NoticeKind = "rollback-completed" // Times are set
	NoticeEscalation        NoticeKind = "escalation"         // a step failed or expired: Step, Consumer and Deadline say which
)

// NoticeSchema is the `schema` of a notice.
const NoticeSchema = "streamcanary.event.v1"

// A Notice tells people and machines what became of a decision. Nobody has to act on it: only decisions are obeyed.
type Notice struct {
	Schema   string         `json:"schema"`
	ID       string         `json:"id"`
	Kind     NoticeKind     `json:"kind"`
	Model    string         `json:"model"`
	Rollout  string         `json:"rollout"`
	Epoch    int64          `json:"epoch"`
	Seq      int64          `json:"seq,omitempty"`      // of the decision
	Decision string         `json:"decision,omitempty"` // its id
	Severity Severity       `json:"severity"`
	Sentence string         `json:"sentence"` // one plain sentence: what, and what to do
	At       Time           `json:"at"`
	Step     string         `json:"step,omitempty"`     // route, verify, …
	Consumer string         `json:"consumer,omitempty"` // who did not answer, or refused
	Why      string         `json:"why,omitempty"`
	Deadline Time           `json:"deadline,omitzero"`
	Times    *RollbackTimes `json:"times,omitempty"`
}

// RollbackTimes is how long a rollback took, from the harm to the last of the canary's traffic. HarmBegan and
// Detected are event time, the others wall time; zero where unknown.
type RollbackTimes struct {
	HarmBegan Time `json:"harm_began,omitzero"` // estimated
	Detected  Time `json:"detected,omitzero"`   // end of the window that tipped it
	Decided   Time `json:"decided,omitzero"`
	Acked     Time `json:"acked,omitzero"`
	Drained   Time `json:"drained,omitzero"` // zero: not proven
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
	f.unless(n.Seq >= 0, "seq is %d", n.Seq)
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
	EveryMs  int64         `json:"every_ms"` // the next one comes this much later
	Rollouts []RolloutBeat `json:"rollouts,omitempty"`
}

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
	for i, r := range h.Rollouts {
		f.name(fmt.Sprintf("rollouts[%d].model", i), r.Model)
		f.name(fmt.Sprintf("rollouts[%d].rollout", i), r.Rollout)
	}
	return f.err
}
