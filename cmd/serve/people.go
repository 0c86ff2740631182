package serve

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// role is what somebody may do: an alerter tells of alerts, as Alertmanager does, and no more; a viewer looks, an operator commands rollouts, and an admin goes past
// what speaks against it, too.
type role int

const (
	alerter role = iota + 1
	viewer
	operator
	admin
)

var roles = map[string]role{"alerter": alerter, "viewer": viewer, "operator": operator, "admin": admin}

// String is the role's name, with its article.
func (r role) String() string {
	return [...]string{alerter: "an alerter", viewer: "a viewer", operator: "an operator", admin: "an admin"}[r]
}

// people are those who may look at rollouts, and command them.
type people struct {
	byToken map[[sha256.Size]byte]person // nil: there are no tokens, and whoever reaches NATS, or the loopback address, is an admin
	local   bool                         // HTTP is on loopback alone
}

type person struct {
	name string
	role role
}

// minTokenBytes is the shortest token that isn't guessed.
const minTokenBytes = 16

// peopleOf reads the file of tokens, strictly; its errors name the line, and show nothing of it: who mixes the order of the words up has the token where the role or the name is.
func peopleOf(h *schemas.HTTP) (*people, error) {
	host, _, err := net.SplitHostPort(h.Listen)
	p := &people{local: err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())}
	if h.TokensFile == "" {
		return p, nil
	}
	text, err := os.ReadFile(h.TokensFile)
	if err != nil {
		return nil, fmt.Errorf("read http.tokensFile: %w", err)
	}
	p.byToken = map[[sha256.Size]byte]person{}
	for i, line := range strings.Split(string(text), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err := p.add(words); err != nil {
			return nil, fmt.Errorf("read http.tokensFile: %s:%d: %w", h.TokensFile, i+1, err)
		}
	}
	if len(p.byToken) == 0 {
		return nil, fmt.Errorf("read http.tokensFile: %s has no token, so everybody would be denied: write a line `admin NAME TOKEN`, or remove http.tokensFile", h.TokensFile)
	}
	return p, nil
}

func (p *people) add(words []string) error {
	if len(words) != 3 {
		return fmt.Errorf("%d words: a line is role, name and token", len(words))
	}
	r, known := roles[words[0]]
	key := sha256.Sum256([]byte(words[2]))
	_, taken := p.byToken[key]
	switch {
	case !known:
		return errors.New("the first word is no role (alerter, viewer, operator or admin): a line is role, name and token")
	case len(words[1]) > schemas.MaxNameBytes:
		return fmt.Errorf("the name has %d bytes, %d are allowed", len(words[1]), schemas.MaxNameBytes)
	case len(words[2]) < minTokenBytes:
		return fmt.Errorf("the token, the third word, has %d bytes: give it %d or more", len(words[2]), minTokenBytes)
	case taken:
		return errors.New("its token, the third word, stands on an earlier line already: each name has its own")
	}
	p.byToken[key] = person{words[1], r}
	return nil
}

// Why whoever asks is nobody.
var (
	errNoToken      = errors.New("a token is needed")
	errUnknownToken = errors.New("the token is not one of those in http.tokensFile")
	errOverride     = errors.New("an operator: override takes an admin")
)

// who is asking; the error, errNoToken or errUnknownToken, says why it is nobody.
func (p *people) who(token, claimed string) (person, error) {
	if p.byToken == nil {
		return person{claimed, admin}, nil
	}
	who, known := p.byToken[sha256.Sum256([]byte(strings.TrimPrefix(token, "Bearer ")))]
	switch {
	case token == "":
		return person{}, fmt.Errorf("%w: --token-file FILE, or the header Authorization: Bearer TOKEN; http.tokensFile of serve has them", errNoToken)
	case !known:
		return person{}, fmt.Errorf("%w of serve, as it was when serve started: ask whoever keeps that file", errUnknownToken)
	}
	return who, nil
}

// may says why a person may not command something; nil: they may.
func (p person) may(c *schemas.Command) error {
	switch {
	case p.role < operator:
		return p.commands(c.Do)
	case c.Override && p.role < admin:
		return fmt.Errorf("%s is %w: ask one", p.name, errOverride)
	}
	return nil
}

// withoutOverride is what came of a command that takes an admin if it were asked for without going past what speaks against it.
func (c *court) withoutOverride(d *desk, x *schemas.Command) string {
	const unknown = "; without it, it is done only where nothing speaks against it"
	switch {
	case d != nil && d.lost != nil && x.Do == schemas.CommandRetry:
		return "; without it, it is refused, too: " + forgets(d, false)
	case d == nil || d.lost != nil:
		return unknown
	}
	s := &d.head.State
	var why string
	switch x.Do {
	case schemas.CommandApply:
		if why = s.Unfinished(false); why == "" { // more speaks against it perhaps: its file isn't known yet
			return unknown
		}
	case schemas.CommandRetry:
		if why = s.RefusesRetry(false); why == "" && !c.isBegunLater(d) {
			why = s.RefusesAnew(false)
		}
	default:
		why = s.Refuses(&decisions.Command{Do: decisions.CommandKind(x.Do)}, d.fold.Turns())
	}
	if why == "" {
		return ", or leave it out: nothing speaks against it now"
	}
	return "; without it, it is refused, too: " + why
}

// commands says why a person may command nothing, of what they ask for; nil: they may command something.
func (p person) commands(do string) error {
	if p.role < operator {
		return fmt.Errorf("%s is %s: %s takes an operator: ask one, or whoever keeps http.tokensFile of serve", p.name, p.role, do)
	}
	return nil
}

// looks says why a person may not look at rollouts; nil: they may.
func (p person) looks() error {
	if p.role < viewer {
		return fmt.Errorf("%s is %s: looking at rollouts takes a viewer", p.name, p.role)
	}
	return nil
}

// ask hands a command to the court.
func (c *court) ask(ctx context.Context, r bus.Request) {
	if c.malformed(&r) || c.unlogged(&r) {
		return
	}
	select {
	case c.commands <- r:
	case <-ctx.Done():
		why := "the service is stopping"
		if held := c.seen.deciding.err(); held != nil {
			why = "it is not taken: " + held.Error()
		}
		reply := stoppingReply(why)
		reply.Again = r.Shared // else who asks may have waited for long
		r.Reply(reply)
	}
}

// malformed answers what is no command; false: it is one. Who asks comes before what they send, as over HTTP.
func (c *court) malformed(r *bus.Request) bool {
	if r.Malformed == nil {
		return false
	}
	who, err := c.people.who(r.Token, "")
	if err == nil {
		if err = who.commands("a command"); err != nil {
			c.knock(knocked{knock: knock{who: who.name, rollout: r.Rollout}, why: err})
		}
	}
	if err != nil {
		c.log.Warn().Err(err).Str("rollout", r.Rollout).Msg("a command is denied")
		c.seen.denied.Inc()
		r.Reply(&schemas.CommandReply{Denied: err.Error()})
		return true
	}
	r.Reply(&schemas.CommandReply{Refused: r.Malformed.Error()})
	return true
}

// command journals what a person asks for; it is answered when it was read back and what came of it is published (commanded).
func (c *court) command(ctx context.Context, r bus.Request) {
	came := r
	if r.Shared {
		r.Reply = c.inTurn(ctx, &r)
	}
	d := c.desks[r.Rollout]
	who, err := c.people.who(r.Token, r.Command.By)
	known := err == nil
	if known {
		err = who.may(r.Command)
	}
	if errors.Is(err, errOverride) {
		err = fmt.Errorf("%w%s", err, c.withoutOverride(d, r.Command))
	}
	switch {
	case err != nil:
		c.log.Warn().Err(err).Str("rollout", r.Rollout).Str("do", r.Command.Do).Msg("a command is denied")
		c.seen.denied.Inc()
		if known {
			c.tellDenied(ctx, &knocked{knock{who: who.name, rollout: r.Rollout, do: r.Command.Do}, r.Command.Comment, err})
		}
		r.Reply(&schemas.CommandReply{Denied: err.Error()})
		return
	case r.Command.HandsIn():
		r.Reply(c.announced(&r, who))
		return
	case c.awaitsHandover(&came, commandOf(&r, who)):
		return
	case d == nil && c.board.refusal(r.Rollout) == "" && c.elsewhere(ctx, r.Rollout):
		r.Reply(&schemas.CommandReply{Failed: fmt.Sprintf("another serve decides for rollout %s, as its record says, and this one doesn't know it: ask that one; if no other runs, restart this one", r.Rollout)})
		return
	case d == nil && c.forgottenText(r.Rollout) != "":
		r.Reply(&schemas.CommandReply{Failed: c.forgottenText(r.Rollout)})
		return
	case d == nil:
		r.Reply(&schemas.CommandReply{Refused: c.unjudged(r.Rollout), NoRollout: true})
		return
	case d.lost != nil && (r.Command.Do != schemas.CommandRetry && !d.endsAnyway(decisions.CommandKind(r.Command.Do)) || errors.Is(d.lost, bus.ErrLost)):
		r.Reply(&schemas.CommandReply{Failed: lostText(d)})
		return
	}
	in := commandOf(&r, who)
	if c.heard(d, in, &r, &came) {
		return
	}
	id := request{r.Rollout, in.ID}
	c.asking[id] = &asked{since: time.Now(), sum: in.Sum(), in: in, came: []bus.Request{came}, replies: []func(*schemas.CommandReply){r.Reply}}
	if r.Command.Do == schemas.CommandRetry {
		c.retry(ctx, d, in)
		return
	}
	input := decisions.Input{Kind: decisions.InputCommand, WallMs: time.Now().UnixMilli(), Command: in}
	err = c.journalEnding(ctx, d, input)
	switch {
	case err != nil && ctx.Err() != nil: // it may stand there
		c.answer(id, stoppingReply(stoppingText))
	case err != nil:
		c.answer(id, &schemas.CommandReply{Failed: err.Error()})
	}
}

// stoppingText is what is known of a command that a stopping service has taken, and not come to.
const stoppingText = "the service is stopping, and whether it is done isn't known: ask again with the same id"

// commandOf is what the state machine takes of what somebody asks for.
func commandOf(r *bus.Request, who person) *decisions.Command {
	return &decisions.Command{
		ID: r.Command.ID, Do: decisions.CommandKind(r.Command.Do), Force: r.Command.Override,
		Actor: schemas.Actor{Kind: "person", Name: who.name, Comment: r.Command.Comment},
	}
}

// maxNamed bounds the rollouts that an answer names.
const maxNamed = 10

// forgottenText says that nobody decides for a rollout that has neither record nor file any more, and what to do; "": it is none of these.
func (c *court) forgottenText(name string) string {
	for _, f := range c.forgotten {
		if f.decision.Rollout == name && !c.since(f.decision) {
			return f.text()
		}
	}
	return ""
}

// unjudged says that a rollout isn't judged, and why, or which are.
func (c *court) unjudged(name string) string {
	if why := c.board.refusal(name); why != "" {
		return fmt.Sprintf("rollout %s is not judged: it was refused when it was applied, or when serve started: %s", name, why)
	}
	names := sortedDesks(c.desks)
	if len(names) == 0 {
		return fmt.Sprintf("no rollout %s is judged here, and no other one: apply one with `streamcanary rollout apply --rollout FILE`", name)
	}
	there, more := "there are", ""
	if len(names) == 1 {
		there = "there is only"
	}
	if n := len(names) - maxNamed; n > 0 {
		names, more = names[:maxNamed], fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("no rollout %s is judged here; %s %s%s: `streamcanary rollout list` or GET /v1/rollouts lists them", name, there, strings.Join(names, ", "), more)
}

// heard answers a command that was taken already, that waits already, or that is for another epoch, and reports whether it was one.
func (c *court) heard(d *desk, in *decisions.Command, r, came *bus.Request) bool {
	if done := outcomeOf(&d.head.State, in); done != nil {
		r.Reply(done)
		return true
	}
	waiting, epoch := c.asking[request{r.Rollout, in.ID}], d.head.State.Epoch
	switch {
	case waiting != nil && waiting.sum != in.Sum():
		r.Reply(&schemas.CommandReply{Refused: fmt.Sprintf("another command of this rollout waits under the id %s: nothing is done; give this one an id of its own", in.ID)})
	case waiting != nil:
		waiting.replies, waiting.came = append(waiting.replies, r.Reply), append(waiting.came, *came)
	case r.Command.Epoch != 0 && r.Command.Epoch != epoch:
		r.Reply(&schemas.CommandReply{Refused: fmt.Sprintf("it is meant for epoch %d, and rollout %s is in epoch %d: look at it with `rollout show`, then decide anew", r.Command.Epoch, r.Rollout, epoch)})
	default:
		return false
	}
	return true
}

// commanded answers those who asked for a command that was taken. What could not be published was not done.
func (c *court) commanded(ctx context.Context, d *desk, in *decisions.Command) {
	done := outcomeOf(&d.head.State, in)
	switch {
	case done == nil:
		return
	case d.lost != nil:
		done = &schemas.CommandReply{Failed: lostText(d)}
	case ctx.Err() != nil && len(d.head.Outbox) > 0:
		done = stoppingReply("the service is stopping before this is published: it does that when it starts again; then ask again with the same id")
	}
	c.answer(request{d.rollout.Name, in.ID}, done)
}

func (c *court) answer(id request, r *schemas.CommandReply) {
	if waiting := c.asking[id]; waiting != nil {
		if r.Refused != "" {
			c.seen.refused.Inc()
		}
		for _, reply := range waiting.replies {
			reply(r)
		}
		delete(c.asking, id)
	}
}

// request names a command: its id counts within its rollout.
type request struct{ rollout, id string }

// asked is a command that is not answered yet, and who waits for it.
type asked struct {
	since   time.Time
	sum     string // decisions.Command.Sum
	in      *decisions.Command
	came    []bus.Request // as they came, each with its reply
	replies []func(*schemas.CommandReply)
}

// unanswered gives up on commands that nothing came of: the epoch that they were of has ended meanwhile, or the journal can't be read.
func (c *court) unanswered(now time.Time) {
	for id, waiting := range c.asking {
		if now.Sub(waiting.since) > commandWithin {
			c.answer(id, &schemas.CommandReply{Failed: "nothing came of it within " + commandWithin.String() + ": look at the rollout, then ask again with the same id"})
		}
	}
}

// outcomeOf is what came of a command; nil: it was not taken.
func outcomeOf(s *decisions.State, in *decisions.Command) *schemas.CommandReply {
	done, taken := s.Outcome(in)
	if !taken {
		return nil
	}
	return &schemas.CommandReply{Decision: done.Decision, Refused: done.Refused, Advice: done.Advice}
}

// commandWithin is how long whoever asks waits for what comes of a command.
const commandWithin = 20 * time.Second

// command takes a person's command over HTTP: 200 with the decision, 409 refused, 404 of no rollout that is judged, 401 and 403 denied (denial), 503 not known. Who asks comes before
// what they send.
func (e *endpoints) command(w http.ResponseWriter, r *http.Request) {
	if err := e.open(); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	who, err := e.people.who(r.Header.Get("Authorization"), "")
	if err == nil {
		if err = who.commands("a command"); err != nil {
			e.knock(wanted(r, who))
		}
	}
	if err != nil {
		e.log.Warn().Err(err).Str("rollout", r.PathValue("name")).Msg("a command is denied")
		e.seen.denied.Inc()
		reply(w, denial(w, err), &schemas.CommandReply{Denied: err.Error()})
		return
	}
	if !isJSON(r) {
		http.Error(w, contentTypeWanted, http.StatusUnsupportedMediaType)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, schemas.MaxCommandBytes+1))
	switch {
	case err != nil:
		http.Error(w, "the request can't be read: "+err.Error(), http.StatusBadRequest)
		return
	case len(body) > schemas.MaxCommandBytes:
		http.Error(w, fmt.Sprintf("the command has more than %d bytes", schemas.MaxCommandBytes), http.StatusRequestEntityTooLarge)
		return
	}
	command, err := schemas.DecodeCommand(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), commandWithin)
	defer cancel()
	replies := make(chan *schemas.CommandReply, 1)
	e.ask(ctx, bus.Request{Rollout: r.PathValue("name"), Command: command, Token: r.Header.Get("Authorization"), Reply: func(x *schemas.CommandReply) {
		select {
		case replies <- x:
		default:
		}
	}})
	came := &schemas.CommandReply{Failed: "no answer within " + commandWithin.String() + ": ask again with the same id"}
	select {
	case came = <-replies:
	case <-ctx.Done():
	}
	reply(w, statusOf(came), came)
}

// wanted is what somebody sends who may command nothing, as far as it is a command.
func wanted(r *http.Request, who person) knocked {
	c := &schemas.Command{}
	if body, err := io.ReadAll(io.LimitReader(r.Body, schemas.MaxCommandBytes+1)); err == nil {
		if sent, err := schemas.DecodeCommand(body); err == nil {
			c = sent
		}
	}
	return knocked{knock{who: who.name, rollout: r.PathValue("name"), do: c.Do}, c.Comment, who.commands(cmp.Or(c.Do, "a command"))}
}

// open says why nobody is heard over HTTP; nil: whoever has a token is, or, without tokens, whoever is on this machine.
func (e *endpoints) open() error {
	if e.people.byToken == nil && !e.people.local {
		return errors.New("http.listen is reachable from elsewhere, and there are no tokens: set http.tokensFile")
	}
	return nil
}

// isJSON reports whether a request says that it carries JSON: what a page of another site can send without being asked doesn't.
func isJSON(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

const contentTypeWanted = "the Content-Type must be application/json"

func statusOf(r *schemas.CommandReply) int {
	switch {
	case r.Denied != "":
		return http.StatusForbidden
	case r.NoRollout:
		return http.StatusNotFound
	case r.Refused != "":
		return http.StatusConflict
	case r.Failed != "":
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}

// reply says what came of a command.
func reply(w http.ResponseWriter, status int, r *schemas.CommandReply) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if body, err := schemas.EncodeReply(r); err == nil {
		_, _ = w.Write(append(body, '\n')) // the client is gone, or has it
	}
}
