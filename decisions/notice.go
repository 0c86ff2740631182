package decisions

import (
	"encoding/json"
	"fmt"

	"streamcanary/schemas"
)

// NoticeKind names an event that people and tools hear of: the last token of `streamcanary.event.<model>.<kind>`.
type NoticeKind string

// The notices.
const (
	NoticeAcksOverdue       NoticeKind = "acks-overdue"
	NoticeAckRefused        NoticeKind = "ack-refused"
	NoticeDrainOverdue      NoticeKind = "drain-overdue"
	NoticeRollbackCompleted NoticeKind = "rollback-completed"
	NoticeCommandRefused    NoticeKind = "command-refused"
)

// Outcome says how a rollback was completed.
type Outcome string

// The outcomes of a rollback.
const (
	OutcomeDone         Outcome = "done"
	OutcomeDoneUnproven Outcome = "done_unproven" // no traffic came that could prove the drain
)

// NoticeSchema is the notice's schema and its CloudEvents type.
const NoticeSchema = "streamcanary.event.v1"

// A Notice is an event about a rollout, published at least once under a deterministic id. It asks nobody to act on traffic.
type Notice struct {
	Schema    string           `json:"schema"`
	ID        string           `json:"id"`
	Kind      NoticeKind       `json:"kind"`
	Severity  schemas.Severity `json:"severity"`
	Model     string           `json:"model"`
	Rollout   string           `json:"rollout"`
	Epoch     int64            `json:"epoch"`
	Decision  string           `json:"decision,omitempty"`
	Sentence  string           `json:"sentence"`
	Attempt   int              `json:"attempt,omitempty"` // deadlines passed so far
	Waiting   []string         `json:"waiting,omitempty"` // for whom
	Outcome   Outcome          `json:"outcome,omitempty"` // of rollback-completed
	Times     *Times           `json:"times,omitempty"`   // of rollback-completed
	EventTime schemas.Time     `json:"event_time,omitzero"`
	At        schemas.Time     `json:"at,omitzero"` // wall time
}

// Times are the five times of a rollback. HarmBegan, Detected and Drained are event time (estimated; the end of the window
// that tipped it; the end of the window that proved it), Decided and Acked wall time. Zero is unknown.
type Times struct {
	HarmBegan schemas.Time `json:"harm_began,omitzero"`
	Detected  schemas.Time `json:"detected,omitzero"`
	Decided   schemas.Time `json:"decided,omitzero"`
	Acked     schemas.Time `json:"acked,omitzero"`
	Drained   schemas.Time `json:"drained,omitzero"`
}

// notice completes a notice and puts it out.
func (t *turn) notice(n Notice) {
	t.s.Notices++
	n.Schema, n.Model, n.Rollout, n.Epoch = NoticeSchema, t.s.Terms.Model, t.s.Terms.Rollout, t.s.Epoch
	n.ID = fmt.Sprintf("%s-notice-%d", decisionID(t.s.Terms.Rollout, t.s.Epoch, t.s.Seq), t.s.Notices)
	n.EventTime, n.At = schemas.Time(t.s.EventMs), schemas.Time(t.in.WallMs)
	n.Sentence = clip(n.Sentence, MaxSentence)
	t.out = append(t.out, Effect{Notice: &n})
}

// EncodeNotice returns a notice's body: one JSON object.
func EncodeNotice(n *Notice) ([]byte, error) { return json.Marshal(n) }

// DecodeNotice reads what EncodeNotice wrote; unknown fields are ignored.
func DecodeNotice(body []byte) (*Notice, error) {
	var n Notice
	if err := json.Unmarshal(body, &n); err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	if n.Kind == "" || n.ID == "" {
		return nil, fmt.Errorf("decode event: it has no kind or no id")
	}
	return &n, nil
}
