package schemas

import (
	"fmt"
	"slices"
)

// MaxCommandBytes bounds a command and its reply; MaxCommentBytes a comment.
const (
	MaxCommandBytes = 16 << 10
	MaxCommentBytes = 1024
)

// A Command is what a person asks of a rollout: a request on CommandSubject, or the body of POST /v1/rollouts/NAME/commands.
type Command struct {
	// ID tells a request that is sent again from a new one: the same ID is obeyed once.
	ID string `json:"id"`
	// Do is what is asked for: one of CommandWords.
	Do string `json:"do"`
	// By is who asks, where no token says so.
	By string `json:"by,omitempty"`
	// Comment is why. It is required, and kept in the decision.
	Comment string `json:"comment"`
	// Override goes past what speaks against it: guardrails that say harm, a hold, missing answers. The decision says so.
	Override bool `json:"override,omitempty"`
}

// A CommandReply says what came of a command. Exactly one field is set, or none of a command that changed nothing.
type CommandReply struct {
	Decision string `json:"decision,omitempty"` // id of the decision that was taken
	Refused  string `json:"refused,omitempty"`  // why it can't be done now
	Denied   string `json:"denied,omitempty"`   // why this person may not
	Failed   string `json:"failed,omitempty"`   // why it isn't known what came of it: try again with the same ID
}

// CommandWords are what a person can ask for.
var CommandWords = []string{"pause", "resume", "advance", "promote", "rollback", "freeze"}

// EncodeCommand writes a command. It refuses what DecodeCommand would.
func EncodeCommand(c *Command) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("encode command: %w", err)
	}
	return encodeMessage(c, MaxCommandBytes)
}

// DecodeCommand reads a command; fields that it doesn't know are passed over.
func DecodeCommand(data []byte) (*Command, error) {
	var c Command
	err := decodeMessage(data, MaxCommandBytes, &c)
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return nil, fmt.Errorf("decode command: %w", err)
	}
	return &c, nil
}

func (c *Command) check() error {
	var f fault
	f.id("id", c.ID)
	f.unless(slices.Contains(CommandWords, c.Do), "do is %q: it is one of %s", c.Do, orList(CommandWords))
	f.unless(len(c.By) <= MaxNameBytes, "by has %d bytes, %d are allowed", len(c.By), MaxNameBytes)
	f.unless(c.Comment != "", "comment is missing: say why, for the record")
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
