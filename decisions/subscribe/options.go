package subscribe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"streamcanary/schemas"
)

// Options say what to follow, whom to trust, and who one is. URLs or Conn, Models, Consumer, and Trust or TrustOnFirstUse are needed.
type Options struct {
	URLs []string
	// Conn is used instead of URLs, and left open.
	Conn      *nats.Conn
	CredsFile string      // a NATS credentials file
	TLS       *tls.Config // required by the client where it is set

	Models []string
	// Consumer names what acknowledges, e.g. "router-eu": the name that a rollout's `acks` may ask for. All instances of it share the
	// name; one that answers is enough. Instance tells them apart; default: the host's name.
	Consumer string
	Instance string

	// Trust are the keys whose decisions are obeyed.
	Trust schemas.Trust
	// TrustOnFirstUse learns, where the store knows no key for a model, the key of the model's first decision that is signed with the key that
	// it brings along, and then obeys that key alone. Whoever can write to NATS at that moment is trusted.
	TrustOnFirstUse bool

	// Store keeps the position across restarts; default: Memory, which doesn't.
	Store Store
	// OnError hears of what could not be obeyed, sent or read; the subscriber goes on by itself. It must not block. Default: a line on standard error.
	OnError func(error)
	// OnJudge hears when no heartbeat of the judge came for three times its period (alive false), and when one comes again. It must not block.
	OnJudge func(alive bool, last time.Time)
	// Timeout bounds every call to NATS; default 5 s.
	Timeout time.Duration
}

// TrustFile reads trusted keys from a file: the keys/trust.txt of `serve`, or the line that it prints.
func TrustFile(path string) (schemas.Trust, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return schemas.Trust{}, fmt.Errorf("read trusted keys: %w", err)
	}
	return schemas.ParseTrust(path, text)
}

// Delivery is one decision that was verified and is to be carried out.
type Delivery struct {
	Decision schemas.Decision
	Signed   schemas.Signed // the exact bytes, and who signed them
	// Advise: the rollout only advises. Don't act.
	Advise bool
	// Restored: it was carried out before; its routes are in force. Only make sure that they are.
	Restored bool
	// Attempt counts the handler's calls for this decision, in this run, from 1: also where it had refused it, and is asked again.
	Attempt int

	snapshot *string
}

// Took says in the answer which snapshot was taken: what a decision with State asks of a state store. See KeepState.
func (d *Delivery) Took(snapshot string) { *d.snapshot = snapshot }

// Handler carries a decision out. Its context ends when Run does, and a second after a newer decision came that says all that this one asks, and orders something
// else: that one is next. nil answers for the decision (see the package's promise); Reject refuses it; any other error is tried again, until a newer decision says all that it asks.
type Handler func(ctx context.Context, d Delivery) error

// Rejection is a refusal: what Reject returns.
type Rejection struct{ Why string }

// Error says why.
func (r *Rejection) Error() string { return "rejected: " + r.Why }

// Reject refuses a decision; why is one of schemas.WhyIncompatibleState, WhyCapacity and WhyPolicy, any other word counts as policy.
func Reject(why string) error { return &Rejection{Why: why} }

// ErrUnreachable: no NATS server answered.
var ErrUnreachable = errors.New("NATS is not reachable")

const defaultTimeout = 5 * time.Second

// complete fills the defaults in, and refuses what can't work.
func (o *Options) complete() error {
	switch {
	case o.Conn == nil && len(o.URLs) == 0:
		return errors.New("options: neither URLs nor Conn is set")
	case len(o.Models) == 0:
		return errors.New("options: Models is empty")
	case len(o.Trust.IDs()) == 0 && !o.TrustOnFirstUse:
		return errors.New("options: Trust holds no key, so nothing could ever be obeyed: give it the key that `serve` prints, or set TrustOnFirstUse")
	case len(o.Trust.IDs()) > 0 && o.TrustOnFirstUse:
		return errors.New("options: Trust and TrustOnFirstUse are both set: choose one")
	}
	for _, model := range o.Models {
		if _, err := schemas.AckSubject(model, o.Consumer); err != nil {
			return fmt.Errorf("options: model %q, consumer %q: %w", model, o.Consumer, err)
		}
	}
	if sorted := slices.Sorted(slices.Values(o.Models)); len(slices.Compact(sorted)) != len(o.Models) {
		return errors.New("options: a model stands twice in Models")
	}
	if o.Instance == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("options: Instance is empty, and the host has no name: %w", err)
		}
		o.Instance = strings.ToValidUTF8(host[:min(len(host), schemas.MaxNameBytes)], "")
	}
	if len(o.Instance) > schemas.MaxNameBytes {
		return fmt.Errorf("options: Instance has %d bytes, at most %d", len(o.Instance), schemas.MaxNameBytes)
	}
	if o.Store == nil {
		o.Store = Memory()
	}
	if o.OnError == nil {
		o.OnError = func(err error) { fmt.Fprintln(os.Stderr, "streamcanary:", err) }
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	return nil
}
