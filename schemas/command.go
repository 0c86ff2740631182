package schemas

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// MaxCommandBytes bounds a command and its reply; MaxCommentBytes a comment.
const (
	MaxCommandBytes = 16 << 10
	MaxCommentBytes = 1024
)

// A Command is what a person asks of a rollout: a request on CommandSubject, or the body of POST /v1/rollouts/NAME/commands.
type Command struct {
	// ID tells a request that is sent again from a new one: of a rollout the same ID is obeyed once, also after a new epoch has begun, until the rollout is deleted or
	// a thousand later commands were obeyed. Another command needs another ID.
	ID string `json:"id"`
	// Do is what is asked for: one of CommandWords.
	Do string `json:"do"`
	// Epoch is the one that it is meant for; 0: whichever there is. A command for another epoch is refused.
	Epoch int64 `json:"epoch,omitempty"`
	// By is who asks, where no token says so.
	By string `json:"by,omitempty"`
	// Comment is why. It is required, and kept in the decision.
	Comment string `json:"comment"`
	// Override goes past what speaks against it: guardrails that say harm, a hold, missing answers, a watch, a rollback that is under way. The decision says so.
	Override bool `json:"override,omitempty"`
	// Sum, of CommandApply and CommandDelete alone, is what is handed in: its SHA-256, in hex.
	Sum string `json:"sum,omitempty"`
}

// A CommandReply says what came of a command. Exactly one field but Advice and Again is set, or none of a command that changed nothing.
type CommandReply struct {
	Decision string `json:"decision,omitempty"` // id of the decision that was taken
	Refused  string `json:"refused,omitempty"`  // why it can't be done now
	Denied   string `json:"denied,omitempty"`   // why this person may not
	Advice   string `json:"advice,omitempty"`   // beside Decision: why that may not help, and what to do instead
	Failed   string `json:"failed,omitempty"`   // why it isn't known what came of it: try again with the same ID
	Again    bool   `json:"again,omitempty"`    // beside Failed: at once, for another service takes over, or this one is being restarted
	// NoRollout, beside Refused, says that nothing of that name is judged. It is the HTTP status alone (404), and not on the wire.
	NoRollout bool `json:"-"`
}

// CommandWords are what a person can ask for. CommandRetry, the last, begins a new epoch; the others are about the present one.
var CommandWords = []string{"pause", "resume", "advance", "promote", "rollback", "freeze", CommandRetry}

// CommandApply and CommandDelete announce what `rollout apply` and `rollout delete` hand in by NATS, so that the service knows who does.
const (
	CommandApply  = "apply"
	CommandDelete = "delete"
)

// HandsIn reports whether a command only announces what is handed in.
func (c *Command) HandsIn() bool { return c.Do == CommandApply || c.Do == CommandDelete }

// CommandRetry judges the rollout anew, from the file that was applied.
const CommandRetry = "retry"

// EncodeCommand writes a command. It refuses what DecodeCommand would.
func EncodeCommand(c *Command) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("encode command: %w", err)
	}
	return encodeMessage(c, MaxCommandBytes)
}

// DecodeCommand reads a command. People write it by hand, so a key that it doesn't know is an error, and not passed over.
func DecodeCommand(data []byte) (*Command, error) {
	var c Command
	var given map[string]json.RawMessage
	err := notJSON(decodeMessage(data, MaxCommandBytes, &given))
	if err == nil {
		err = OnceEach(data)
	}
	if err == nil {
		err = unknownKey(given)
	}
	if err == nil {
		err = wrongKind(json.Unmarshal(data, &c), given)
	}
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return nil, fmt.Errorf("decode command: %w", err)
	}
	return &c, nil
}

// commandKeys are those of a command, in the order of Command.
var commandKeys = []string{"id", "do", "epoch", "by", "comment", "override", "sum"}

// unknownKey is the error of the first key, by name, that a command has not.
func unknownKey(given map[string]json.RawMessage) error {
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if slices.Contains(commandKeys, key) {
			continue
		}
		if near := nearest(key, commandKeys); near != "" {
			return fmt.Errorf("key %q is unknown: is %q meant?", key, near)
		}
		return fmt.Errorf("key %q is unknown: there are %s", key, strings.Join(commandKeys, ", "))
	}
	return nil
}

// notJSON says where a text isn't JSON.
func notJSON(err error) error {
	var wrong *json.SyntaxError
	if errors.As(err, &wrong) {
		return fmt.Errorf("it is no JSON: %w (byte %d)", err, wrong.Offset)
	}
	return err
}

// mostGiven bounds what an error says of a value that was given.
const mostGiven = 60

// wrongKind says of a value that its key can't have what was given, and what it is.
func wrongKind(err error, given map[string]json.RawMessage) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return err
	}
	value := strings.ToValidUTF8(string(given[wrong.Field]), "?")
	if len(value) > mostGiven {
		value = strings.ToValidUTF8(value[:mostGiven], "") + "…"
	}
	want := "a text, in quotes"
	switch wrong.Type.Kind() {
	case reflect.Int64:
		want = "a whole number, without quotes"
	case reflect.Bool:
		want = "true or false, without quotes"
	}
	return fmt.Errorf("%s is %s: it must be %s", wrong.Field, Readable(value), want)
}

func (c *Command) check() error {
	var f fault
	f.id("id", c.ID)
	f.unless(c.HandsIn() || slices.Contains(CommandWords, c.Do), "do is %q: it is one of %s", c.Do, orList(CommandWords))
	f.unless(c.Epoch >= 0, "epoch is %d: it counts from 1", c.Epoch)
	f.unless(len(c.By) <= MaxNameBytes, "by has %d bytes, %d are allowed", len(c.By), MaxNameBytes)
	f.unless(strings.TrimSpace(c.Comment) != "", "comment is missing: say why, for the record")
	f.unless(c.HandsIn() == (c.Sum != ""), "sum goes with apply and delete, and with nothing else")
	f.unless(c.Sum == "" || isSha256(c.Sum), "sum is no SHA-256 in lower-case hex")
	f.unless(len(c.Comment) <= MaxCommentBytes, "comment has %d bytes, %d are allowed", len(c.Comment), MaxCommentBytes)
	return f.err
}

// EncodeReply and DecodeReply write and read what came of a command.
func EncodeReply(r *CommandReply) ([]byte, error) { return encodeMessage(r, MaxCommandBytes) }

// DecodeReply reads what EncodeReply wrote.
func DecodeReply(data []byte) (*CommandReply, error) {
	var r CommandReply
	if err := decodeMessage(data, MaxCommandBytes, &r); err != nil {
		return nil, fmt.Errorf("decode reply: %w", err)
	}
	return &r, nil
}
