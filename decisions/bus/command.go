package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"streamcanary/schemas"
)

// ErrNobody: no service takes commands on this NATS.
var ErrNobody = errors.New("no serve that takes commands runs on this NATS")

// tokenHeader carries the token of whoever asks, where the service wants one.
const tokenHeader = "Authorization"

// A Request is a command as it arrived. Reply must be called once.
type Request struct {
	Rollout string // "": it names none, and Malformed says so
	Command *schemas.Command
	// Malformed says why it is no command, and Command is nil: whoever may not command is to hear that, and no more.
	Malformed error
	Token     string // of whoever asks; "": none
	Reply     func(*schemas.CommandReply)
	Shared    bool // other services on this NATS hear it, too, and whoever asks takes the first reply
}

// Commands hands every command to the handler until the context ends (nil), also one that can't be read.
func (b *Bus) Commands(ctx context.Context, handle func(Request)) error {
	subscription, err := b.conn.SubscribeSync(schemas.AllCommands)
	if err != nil {
		return fmt.Errorf("take commands at %s: %w", b.where(), err)
	}
	defer func() { _ = subscription.Unsubscribe() }()
	for {
		message, err := subscription.NextMsgWithContext(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrBadSubscription):
			return fmt.Errorf("take commands at %s: %w", b.where(), err)
		case err != nil: // a slow consumer: what was dropped is asked for again
			continue
		}
		reply := func(r *schemas.CommandReply) {
			if body, err := schemas.EncodeReply(r); err == nil {
				_ = message.Respond(body) // whoever asked has gone, or asks again
			}
		}
		r := Request{Token: message.Header.Get(tokenHeader), Reply: reply, Shared: true}
		r.Rollout, r.Command, r.Malformed = readCommand(message)
		handle(r)
	}
}

func readCommand(message *nats.Msg) (rollout string, c *schemas.Command, err error) {
	names, err := schemas.SubjectNames(message.Subject)
	if err != nil || len(names) != 1 {
		return "", nil, errors.New("the subject names no rollout")
	}
	c, err = schemas.DecodeCommand(message.Data)
	return names[0], c, err
}

// A service that is being stopped lets those who ask it ask again: another one takes over within seconds, or it is started again.
const (
	askAgainAfter = time.Second
	askAgainFor   = 25 * time.Second // also where the context has no end
)

// Ask sends a command to the service that judges a rollout, and returns its answer; ErrNobody where none listens. The token may be empty. Asking again
// with the same command is safe, and Ask does so where a service that is being stopped says so (CommandReply.Again): its answer is the last one that came.
func (b *Bus) Ask(ctx context.Context, rollout string, c *schemas.Command, token string) (*schemas.CommandReply, error) {
	var stopping *schemas.CommandReply
	for began := time.Now(); ; {
		reply, err := b.askOnce(ctx, rollout, c, token)
		if err == nil && reply.Again {
			stopping = reply
		}
		switch again := err == nil && reply.Again || errors.Is(err, ErrNobody); {
		case stopping == nil, err == nil && !reply.Again:
			return reply, err
		case !again, time.Since(began) > askAgainFor, !pause(ctx, askAgainAfter):
			return stopping, nil
		}
	}
}

func (b *Bus) askOnce(ctx context.Context, rollout string, c *schemas.Command, token string) (*schemas.CommandReply, error) {
	subject, err := schemas.CommandSubject(rollout)
	if err != nil {
		return nil, fmt.Errorf("ask rollout %s: %w", rollout, err)
	}
	body, err := schemas.EncodeCommand(c)
	if err != nil {
		return nil, fmt.Errorf("ask rollout %s: %w", rollout, err)
	}
	message := nats.NewMsg(subject)
	message.Data = body
	if token != "" {
		message.Header.Set(tokenHeader, token)
	}
	answer, err := b.conn.RequestMsgWithContext(ctx, message)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fmt.Errorf("ask rollout %s at %s: %w", rollout, b.where(), ErrNobody)
	case err != nil:
		return nil, fmt.Errorf("ask rollout %s at %s: %w", rollout, b.where(), err)
	}
	return schemas.DecodeReply(answer.Data)
}
