package decisions

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"streamcanary/schemas"
)

// InputKind says what an Input is.
type InputKind string

// The kinds of inputs. All but InputVerdict and InputTraffic come from outside and are journaled (EncodeInput);
// those two follow from the sealed parts.
const (
	InputApplied InputKind = "applied"
	InputAck     InputKind = "ack"
	InputExpired InputKind = "expired"
	InputCommand InputKind = "command"
	InputAlert   InputKind = "alert"
	InputRuling  InputKind = "ruling"
	InputPillars InputKind = "pillars"
	InputVerdict InputKind = "verdict"
	InputTraffic InputKind = "traffic"
)

// An Input is one thing that happened to a rollout, with its times as data. Exactly the field that its Kind names is set.
type Input struct {
	Kind InputKind `json:"kind"`
	// EventMs is the event time that had been reached when the input took effect, Unix ms; 0: what was reached before.
	EventMs int64 `json:"event_ms,omitempty"`
	// WallMs is the wall time at which it took effect, Unix ms; 0 in a replay, and then decisions carry none.
	WallMs int64 `json:"wall_ms,omitempty"`
	// Read is what of the window journal was read up to and with this input: the evidence's inputs of what is decided by it. It is not journaled,
	// since no record knows its own place; a replay has none.
	Read []schemas.Input `json:"-"`
	// Turn is how many parts had been merged and judged before it. Like Read it isn't journaled: where an input is taken again, it is the same.
	Turn int64 `json:"-"`
	// AnswersMs is how long answers are on the way by the parts before it, in ms, where that is worth waiting for (analysis.Judge.AnswersMs). As Turn; 0 in a replay.
	AnswersMs int64 `json:"-"`
	// HeardMs is the wall time at which an alert was told first, of whatever rollout, where it starts ahead of that; 0 elsewhere, and in older journals: WallMs is it.
	HeardMs int64 `json:"heard_ms,omitempty"`

	Applied *Applied       `json:"applied,omitempty"`
	Ack     *schemas.Ack   `json:"ack,omitempty"`
	Expired *Expired       `json:"expired,omitempty"`
	Command *Command       `json:"command,omitempty"`
	Alert   *schemas.Alert `json:"alert,omitempty"`
	Ruling  *Ruling        `json:"ruling,omitempty"`
	Pillars *Checked       `json:"pillars,omitempty"`
	Verdict *Verdict       `json:"verdict,omitempty"`
	Traffic *Traffic       `json:"traffic,omitempty"`
}

// Applied starts a new epoch of a rollout.
type Applied struct {
	Terms Terms `json:"terms"`
	// Epoch is above every earlier one of the model.
	Epoch int64 `json:"epoch"`
	// Prev is the model's previous decision, of whatever rollout; nil for the first.
	Prev *schemas.Prev `json:"prev,omitempty"`
	// Routes are those of the model's last effective decision; nil where there is none.
	Routes []schemas.Route `json:"routes,omitempty"`
	Actor  schemas.Actor   `json:"actor"`
	// Retry: the rollout was judged before, and begins anew with no evidence; its first decision supersedes Prev.
	Retry bool `json:"retry,omitempty"`
	// Override is what whoever begins it went past.
	Override []string `json:"override,omitempty"`
	// Past are the model's rollbacks so far, oldest first; at most MaxPast.
	Past []Past `json:"past,omitempty"`
	// Left is the newest version that it begins over, whose users it takes the traffic from, or which it looks on at; nil: none. LeftToo are those before it, the newest first.
	Left    *Left  `json:"left,omitempty"`
	LeftToo []Left `json:"left_too,omitempty"`
	// Lost is the newest epoch of which the decision log has lost decisions, and that is forgotten; 0: none is.
	Lost int64 `json:"lost,omitempty"`
	// Pillars are what was checked before; if one failed, the epoch ends before it begins.
	Pillars []Pillar `json:"pillars,omitempty"`
}

// Leave notes the versions that it begins over (State.Leaves).
func (a *Applied) Leave(left []Left) {
	if len(left) > 0 {
		a.Left, a.LeftToo = &left[0], left[1:]
	}
}

func (a *Applied) leaves() []Left {
	if a.Left == nil {
		return nil
	}
	return append([]Left{*a.Left}, a.LeftToo...)
}

// Expired says that a deadline of State.Deadlines has passed on the waiting side's clock.
type Expired struct {
	Deadline string `json:"deadline"` // Deadline.ID
	// Quiet says that whoever waited had read all predictions that there were, and that none had come for a while. Without it, what is
	// not known to have come may only not have been read.
	Quiet bool `json:"quiet,omitempty"`
	// SealedMs is the event time up to which all predictions of the model were read and sealed, and ServedMs the end of the last window that has some of them,
	// whether or not it is judged by now. Both stand still where nothing is read, and the first one goes on where only other models are asked. 0: not known.
	SealedMs int64 `json:"sealed_ms,omitempty"`
	ServedMs int64 `json:"served_ms,omitempty"`
	// Later says that a later epoch of the model has begun, and On is its rollout, where it goes on to look at the version that the deadline is of.
	Later bool   `json:"later,omitempty"`
	On    string `json:"on,omitempty"`
}

// CommandKind is what a person asks for.
type CommandKind string

// The commands. CommandDelete ends the rollout; while a rollback is not yet carried out it needs Force.
// CommandPause holds it until CommandResume, which ends any hold; before it has begun, it is prepared and does not begin. CommandAdvance lets the next stage begin, and
// CommandPromote gives the canary all traffic, after the watch where one is declared (with Force without it, or before its end); both are what an approval waits for, and need Force where the evidence doesn't ask for it.
// CommandRollback rolls back, and ends what only prepares; where a store keeps it from moving traffic, or a router the state from going back, with Force. CommandFreeze holds the rollout, and lets its state take no writes, until
// CommandResume. CommandSupersede ends the rollout for another one of its model.
const (
	CommandDelete    CommandKind = "delete"
	CommandPause     CommandKind = "pause"
	CommandResume    CommandKind = "resume"
	CommandAdvance   CommandKind = "advance"
	CommandPromote   CommandKind = "promote"
	CommandRollback  CommandKind = "rollback"
	CommandFreeze    CommandKind = "freeze"
	CommandSupersede CommandKind = "supersede"
)

// Command is what a person asked for.
type Command struct {
	ID    string        `json:"id,omitempty"` // of the request: a second one with the same id changes nothing
	Do    CommandKind   `json:"do"`
	Actor schemas.Actor `json:"actor"`
	Force bool          `json:"force,omitempty"` // go past what speaks against it
	For   string        `json:"for,omitempty"`   // of supersede: the rollout that takes over
	Heir  *Heir         `json:"heir,omitempty"`  // likewise: what that does with versions that are looked at; nil: not known, of an older journal
}

// Heir is what a rollout that takes over does with the versions that the one before looks at: it has two itself, and looks on at some.
type Heir struct {
	Baseline string   `json:"baseline"`
	Canary   string   `json:"canary"`
	LooksOn  []string `json:"looks_on,omitempty"`
}

// Sum is what a command asks for, and who asks, in 16 hex digits: one of the same id and another sum is another command.
func (c *Command) Sum() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %v %q %q", c.Do, c.Force, c.Actor.Name, c.Actor.Comment))
	return hex.EncodeToString(sum[:8])
}

// RulingKind is a ruling from outside on the input.
type RulingKind string

// The rulings. RulingGap: input is gone (retention, data loss); the rollout holds until a person resumes it. RulingNoData: neither arm
// has answered for long; the rollout holds until one does. RulingRelease: a
// stream or partition that stood still was no longer waited for; it only leaves its mark in the journal.
const (
	RulingGap     RulingKind = "input_gap"
	RulingNoData  RulingKind = "no_data"
	RulingRelease RulingKind = "release"
	// RulingTruncated: Alertmanager left Missing alerts of Group out of its message; 0: it had them all.
	RulingTruncated RulingKind = "alerts_truncated"
)

// Ruling is a ruling from outside on the input, journaled where it took effect.
type Ruling struct {
	Kind     RulingKind `json:"kind"`
	Sentence string     `json:"sentence,omitempty"`
	Stream   string     `json:"stream,omitempty"`    // of a release: the part's kind, and its name after a slash
	Topic    string     `json:"topic,omitempty"`     // of an idle partition's release
	Number   int32      `json:"partition,omitempty"` // likewise
	UpToMs   int64      `json:"up_to_ms,omitempty"`  // of a release: event time
	Group    string     `json:"group,omitempty"`     // of truncated alerts
	Missing  int64      `json:"missing,omitempty"`   // likewise
	Idle     bool       `json:"idle,omitempty"`      // the partition stopped (true) or began again (false) to count
}

// VerdictAction is what the evidence says.
type VerdictAction string

// The verdicts.
const (
	VerdictContinue VerdictAction = "continue"
	VerdictHold     VerdictAction = "hold"
	VerdictAdvance  VerdictAction = "advance"
	VerdictPromote  VerdictAction = "promote"
	VerdictRollback VerdictAction = "rollback"
)

// Verdict is what the analysis says after a sealed part.
type Verdict struct {
	Action VerdictAction  `json:"action"`
	Reason schemas.Reason `json:"reason"`
	// HarmBeganMs is when the harm began, estimated, event time; 0: unknown, or no harm.
	HarmBeganMs int64            `json:"harm_began_ms,omitempty"`
	Evidence    schemas.Evidence `json:"evidence"`
	// Concerns are new: what people should hear of although nothing is decided by it.
	Concerns []Concern `json:"concerns,omitempty"`
	// Severe: a rollback can't wait for the baseline's cache to be warmed.
	Severe bool `json:"severe,omitempty"`
	// Breached are the guardrails that say now that the canary does harm: failed, or suspect; not those that only warn.
	Breached []string `json:"breached,omitempty"`
	// Unbegun: there is no window yet in which both versions answered.
	Unbegun bool `json:"unbegun,omitempty"`
	// Amiss is what isn't as planned in the traffic now.
	Amiss []schemas.Finding `json:"amiss,omitempty"`
	// Beyond are the limits that the baseline is beyond now.
	Beyond []Beyond `json:"beyond,omitempty"`
}

// A Concern is about a guardrail that is suspect, or is so no more (continue), or, where it only warns, has failed.
type Concern struct {
	Guardrail string        `json:"guardrail"` // with its segment, where it has one
	State     schemas.State `json:"state"`
	Sentence  string        `json:"sentence"`
	Warns     bool          `json:"warns,omitempty"` // the guardrail only warns
}

// Traffic is what each arm served in one sealed window. Windows come in order. Once the epoch has ended, the version that is to have no users any more (State.Retired) is in the
// canary's place.
type Traffic struct {
	StartMs  int64 `json:"start_ms"`
	EndMs    int64 `json:"end_ms"`
	Baseline int64 `json:"baseline"` // predictions served
	Canary   int64 `json:"canary"`
	// CacheTold are the baseline's predictions that say whether its cache answered, CacheHits those where it did.
	CacheTold int64 `json:"cache_told,omitempty"`
	CacheHits int64 `json:"cache_hits,omitempty"`
	// CanaryCacheTold and CanaryCacheHits are the same of the canary.
	CanaryCacheTold int64 `json:"canary_cache_told,omitempty"`
	CanaryCacheHits int64 `json:"canary_cache_hits,omitempty"`
	// Hosts are those on which the canary answered, the most predictions first, as far as events name them and they are told apart.
	Hosts []Flow `json:"hosts,omitempty"`
	// Regions are the same by region.
	Regions []Flow `json:"regions,omitempty"`
	// Others are the predictions of the model's other versions, as far as they are told apart.
	Others []VersionFlow `json:"others,omitempty"`
	// OtherHosts are the same by version and host, as far as events name hosts.
	OtherHosts []HostFlow `json:"other_hosts,omitempty"`
	// Beyond are the limits that the baseline is proven to be beyond by then, once a rollback is carried out.
	Beyond []Beyond `json:"beyond,omitempty"`
}

// A Flow is how many predictions the canary answered on one host, or in one region, whose name Host then is.
type Flow struct {
	Host        string `json:"host"`
	Predictions int64  `json:"predictions"`
}

// A VersionFlow is how many predictions a version answered, copies of requests included.
type VersionFlow struct {
	Version     string `json:"version"`
	Predictions int64  `json:"predictions"`
}

// A HostFlow is how many predictions a version answered on one host, copies of requests included.
type HostFlow struct {
	Version string `json:"version"`
	Flow
}

// MaxFlows bounds the hosts, and the regions, that are told.
const MaxFlows = 8

// EncodeInput returns the journal's bytes of an input: one JSON object.
func EncodeInput(in Input) ([]byte, error) {
	if err := in.check(); err != nil {
		return nil, fmt.Errorf("encode input: %w", err)
	}
	return json.Marshal(in)
}

// DecodeInput reads what EncodeInput wrote. Unknown fields are ignored; anything malformed is an error.
func DecodeInput(b []byte) (Input, error) {
	var in Input
	if err := json.Unmarshal(b, &in); err != nil {
		return Input{}, fmt.Errorf("decode input: %w", err)
	}
	if err := in.check(); err != nil {
		return Input{}, fmt.Errorf("decode input: %w", err)
	}
	return in, nil
}

// check holds an input to "exactly the field that its kind names".
func (in *Input) check() error {
	set := map[InputKind]bool{
		InputApplied: in.Applied != nil, InputAck: in.Ack != nil, InputExpired: in.Expired != nil,
		InputCommand: in.Command != nil, InputAlert: in.Alert != nil, InputRuling: in.Ruling != nil, InputPillars: in.Pillars != nil,
		InputVerdict: in.Verdict != nil, InputTraffic: in.Traffic != nil,
	}
	count := 0
	for _, is := range set {
		if is {
			count++
		}
	}
	if own, known := set[in.Kind]; !known || !own || count != 1 {
		return fmt.Errorf("kind %q: want exactly its own field set, got %d fields", in.Kind, count)
	}
	switch {
	case in.Applied != nil:
		return in.Applied.check()
	case in.Alert != nil:
		return in.Alert.Check()
	case in.Pillars != nil:
		return checkPillars(in.Pillars.Pillars, PillarHeld, PillarFailed, PillarUnknown)
	case in.Command != nil && in.Command.Actor.Kind != "person" && in.Command.Actor.Kind != engine.Kind:
		return fmt.Errorf("command %s: its actor is %q, neither a person nor the engine", in.Command.Do, in.Command.Actor.Kind)
	}
	return nil
}
