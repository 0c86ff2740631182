package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"streamcanary/cmd/serve"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/decisions/pillars"
	"streamcanary/schemas"
)

func rolloutCommand(c *console) *cobra.Command {
	all := []*cobra.Command{applyCommand(c), listCommand(c), showCommand(c), explainCommand(c), backCommand(c), deleteCommand(c)}
	return group("rollout", "Apply, look at, command and delete rollouts", append(all, peopleCommands(c)...)...)
}

func applyCommand(c *console) *cobra.Command {
	var r reach
	var file, from, comment string
	var again, supersede, force, override bool
	cmd := &cobra.Command{
		Use:   "apply --rollout FILE",
		Short: "Start judging a rollout",
		Long: `Hands a rollout to the running service, which starts its first epoch. What a running epoch stands on (versions, margins, risk,
guardrails) never changes: a changed file needs --new-epoch, which ends the running epoch's judging and starts afresh.`,
		Example: "  streamcanary rollout apply --rollout ranker-42.yaml",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if force && !again && !supersede {
				return wrongUse{errors.New("--force goes with --new-epoch or --supersede: alone it does nothing")}
			}
			text, err := readFile(c, file, "rollout")
			if err != nil {
				return err
			}
			parsed, err := schemas.ParseRollout(file, text)
			if err != nil {
				return asUse(err)
			}
			if err := readOffline(file, parsed); err != nil {
				return err
			}
			warn(c, parsed)
			documents, err := readDocuments(file, parsed)
			if err != nil {
				return err
			}
			since, err := startTime(from)
			if err != nil {
				return err
			}
			b, at, err := r.bus(cmd.Context(), c)
			if err != nil {
				return err
			}
			defer b.Close()
			a := serve.Application{ID: rand.Text(), File: file, YAML: string(text), From: since, Soon: from == "", At: now(), Actor: person(comment),
				Documents: documents, Offline: offlineOf(parsed), Supersede: supersede, Force: force, Override: override}
			return apply(cmd.Context(), c, b, application{a, parsed, again, at, given(cmd, "from", "supersede", "override", "comment")})
		},
	}
	rolloutFlag(cmd, &file)
	reachFlags(cmd, &r)
	tokenFlag(cmd, &r)
	cmd.Flags().StringVar(&from, "from", "", "judge windows from this event `TIME` on (RFC 3339); otherwise from 3 s ahead, or, where serve is longer about to take it up and to check its pillars, from 3 s after that. A past one makes serve read events again from there, and running rollouts wait for that")
	cmd.Flags().BoolVar(&again, "new-epoch", false, "start afresh, whatever the running or ended epoch has seen")
	cmd.Flags().BoolVar(&force, "force", false, "with --new-epoch or --supersede: give up following a rollback that is not yet carried out, or the way back to the state before a canary")
	cmd.Flags().BoolVar(&override, "override", false, "begin although that moves users at once from a version that is not on trial to the baseline; the decision says so")
	cmd.Flags().BoolVar(&supersede, "supersede", false, "end whatever other rollout of the model is under way")
	cmd.Flags().StringVar(&comment, "comment", "", "why, for the record")
	return cmd
}

// application is one call of apply.
type application struct {
	serve.Application
	rollout *schemas.Rollout
	again   bool
	at      serve.Addresses
	starts  []string // the flags that were given and matter only to a start
}

// given are the flags among these that stand on the command line.
func given(cmd *cobra.Command, names ...string) []string {
	var all []string
	for _, name := range names {
		if cmd.Flags().Changed(name) {
			all = append(all, "--"+name)
		}
	}
	return all
}

func apply(ctx context.Context, c *console, b *bus.Bus, a application) error {
	there, err := mayApply(ctx, b, &a)
	if err != nil {
		return err
	}
	if there.same != nil {
		return unchanged(ctx, c, &a, there)
	}
	warnServes(ctx, c.err, b, a.rollout)
	body, err := a.Encode()
	if err != nil {
		return err
	}
	if err := willHandIn(ctx, c, b, handIn{&a.Application, bus.Spec{Rollout: a.rollout.Name, Body: body}, a.at.Token}); err != nil {
		return err
	}
	there.revision, err = b.PutSpec(ctx, bus.Spec{Rollout: a.rollout.Name, Body: body, Revision: there.revision})
	if errors.Is(err, bus.ErrConflict) {
		if there.revision, err = meetsAnother(ctx, b, &a, err); err == nil {
			fmt.Fprintln(c.err, a.twinText())
		}
	}
	if err != nil {
		return unknown(a.rollout.Name, err)
	}
	warnFarAhead(c, a.From)
	state, err := takenUp(ctx, b, &a)
	var no refused
	if errors.As(err, &no) && len(there.head.Applied) > 0 {
		return putBack(ctx, b, there, no)
	}
	if no.why != "" {
		return staysThere(no)
	}
	if err != nil {
		return unknown(a.rollout.Name, err)
	}
	if state.Status == decisions.StatusRefused {
		return notStarted(c, &state)
	}
	epoch := state.Epoch
	if c.json {
		return sayApplied(c, &a.Application, a.rollout, epoch)
	}
	if epoch == 0 {
		if _, err := standings(ctx, &a.at); errors.Is(err, serve.ErrDenied) {
			fmt.Fprintf(c.err, "warning: whether the service refuses it isn't known: %v\n", err)
		}
		fmt.Fprintf(c.err, "rollout %s is applied, but within %s no serve has taken it up: one that runs on this NATS begins it, or refuses it (where the one that decided for its model was killed, about %s after that)\nnext: streamcanary rollout show %s\n",
			a.rollout.Name, takenUpIn(a.rollout), schemas.FormatDuration(serve.TakesOverAfter), a.rollout.Name)
		return nil
	}
	printPillars(c.err, state.Pillars, nil)
	fmt.Fprintf(c.err, "rollout %s is applied, epoch %d: windows from %s on are judged%s\nnext: streamcanary rollout show %s\n",
		a.rollout.Name, epoch, a.From, onceReady(a.rollout), a.rollout.Name)
	return nil
}

// unknown is the error of an application of which nobody knows whether it arrived, or was taken up. One that was refused, or met another, is known.
func unknown(name string, err error) error {
	var no refused
	if errors.As(err, &no) || errors.Is(err, bus.ErrConflict) {
		return err
	}
	return fmt.Errorf("%w; rollout %s may have been applied all the same: look with `streamcanary rollout show %s` before you apply it again", err, name, name)
}

// onceReady says for whom the judging waits.
func onceReady(r *schemas.Rollout) string {
	var who []string
	switch {
	case r.Mode == schemas.Advise:
		return ""
	case r.External:
	case r.Acks.Routers == nil:
		who = append(who, "a router has answered that it is prepared (with mode: advise nothing waits for one)")
	default:
		who = append(who, "these routers have answered that they are prepared: "+strings.Join(r.Acks.Routers, ", "))
	}
	if r.State.Mode == schemas.StateShared {
		who = append(who, "these stores have a snapshot that can be restored: "+strings.Join(r.State.Stores, ", "))
	}
	if who == nil {
		return ""
	}
	return ", once " + strings.Join(who, ", and ")
}

// sayApplied prints the line of an application in JSON; epoch 0: no service has taken it up.
func sayApplied(c *console, a *serve.Application, r *schemas.Rollout, epoch int64) error {
	return json.NewEncoder(c.out).Encode(map[string]any{"type": "applied", "rollout": r.Name, "model": r.Model,
		"from": a.From, "application": a.ID, "epoch": epoch})
}

// unchanged says that the running epoch is of this very file: it goes on, with the start that it had, unless it is lost.
func unchanged(ctx context.Context, c *console, a *application, there *place) error {
	s := &there.head.State
	if live, err := standings(ctx, &a.at); err == nil && live[a.rollout.Name] != nil && live[a.rollout.Name].Lost != "" && !live[a.rollout.Name].StandsBy { // where nobody can be asked, the record is what is known
		return fmt.Errorf("rollout %s (%s, epoch %d) is of this very file, so nothing is changed, and it is LOST: %s", a.rollout.Name, s.Status, s.Epoch, live[a.rollout.Name].Lost)
	}
	if c.json {
		return sayApplied(c, there.same, a.rollout, s.Epoch)
	}
	idle := ""
	if len(a.starts) > 0 {
		idle = fmt.Sprintf(", and %s did nothing: windows from %s on are judged, as before", strings.Join(a.starts, ", "), there.same.From)
	}
	fmt.Fprintf(c.err, "rollout %s runs already (%s, epoch %d), from this very file: nothing is changed%s; --new-epoch starts afresh\n",
		a.rollout.Name, s.Status, s.Epoch, idle)
	return nil
}

// putBack lets the file of the running or ended epoch stand again where the service refused the newer one, so that nobody reads values that
// are in force nowhere. It says what was refused.
func putBack(ctx context.Context, b *bus.Bus, there *place, no refused) error {
	state, entry := &there.head.State, bus.Spec{Rollout: no.rollout, Revision: there.revision}
	was, err := serve.ReadApplication(there.head.Applied)
	if err == nil {
		back := was.PutBack(no.of, no.why, now())
		entry.Body, err = back.Encode()
	}
	if err == nil {
		err = putOver(ctx, b, entry, no.of.ID)
	}
	if err != nil {
		return errors.Join(no, fmt.Errorf("put the file of epoch %d back: %w", state.Epoch, err))
	}
	return fmt.Errorf("%w; epoch %d (%s) stays as it is, and so does its file", no, state.Epoch, state.Status)
}

// putOver writes an entry over that of an application, also where the service has written there since that it is refused.
func putOver(ctx context.Context, b *bus.Bus, entry bus.Spec, application string) error {
	_, err := b.PutSpec(ctx, entry)
	if !errors.Is(err, bus.ErrConflict) {
		return err
	}
	there, again := b.Spec(ctx, entry.Rollout)
	if again != nil {
		return again
	}
	if marked, _ := serve.ReadApplication(there.Body); marked.ID != application {
		return err
	}
	entry.Revision = there.Revision
	_, err = b.PutSpec(ctx, entry)
	return err
}

// refused is the error of a rollout that the service won't judge.
type refused struct {
	rollout, why string
	of           *serve.Application
}

func (r refused) Error() string {
	return fmt.Sprintf("the service refuses rollout %s: %s", r.rollout, strings.TrimPrefix(r.why, "rollout "+r.rollout+": "))
}

// farAhead is how much later than now judging may begin before apply warns: a longer wait is rather a wrong date.
const farAhead = 24 * time.Hour

// warnFarAhead tells a person for how long nothing will be judged.
func warnFarAhead(c *console, from schemas.Time) {
	if ahead := time.Duration(from-now()) * time.Millisecond; ahead > farAhead {
		fmt.Fprintf(c.err, "warning: nothing is judged before %s, for %d days and %d hours from now\n",
			from, ahead/(24*time.Hour), ahead%(24*time.Hour)/time.Hour)
	}
}

// notStarted is the error of an epoch that was refused because of its pillars.
func notStarted(c *console, s *decisions.State) error {
	if !c.json {
		printPillars(c.err, s.Pillars, nil)
	}
	if s.Why == nil {
		return fmt.Errorf("epoch %d of rollout %s does not start", s.Epoch, s.Terms.Rollout)
	}
	return fmt.Errorf("epoch %d: %s", s.Epoch, s.Why.Sentence)
}

// takenUpWithin is how long apply waits for the service to begin the epoch; without it the file waits for a service.
const takenUpWithin = 5 * time.Second

// takenUpIn is how long it waits where pillars are checked before.
func takenUpIn(r *schemas.Rollout) time.Duration {
	if r.Pillars.None() {
		return takenUpWithin
	}
	return takenUpWithin + pillars.Within
}

// takenUp waits until the service has begun the epoch that was asked for, and returns its state; one of epoch 0: it hasn't. A refusal is an error.
func takenUp(ctx context.Context, b *bus.Bus, a *application) (decisions.State, error) {
	for began := time.Now(); time.Since(began) < takenUpIn(a.rollout); {
		head, _, err := b.LoadHead(ctx, a.rollout.Name)
		if err == nil && head.State.Terms.Application == a.ID {
			if begun, err := serve.ReadApplication(head.Applied); err == nil {
				a.From = begun.From // it may be later than what was asked for
			}
			return head.State, nil
		}
		if err != nil && !errors.Is(err, bus.ErrNotFound) {
			return decisions.State{}, err
		}
		if why := refusal(ctx, &a.at, a.rollout.Name); why != nil && why.Application == a.ID {
			return decisions.State{}, refused{a.rollout.Name, why.Refused, &a.Application}
		}
		if why := refusalKept(ctx, b, a); why != "" {
			return decisions.State{}, refused{a.rollout.Name, why, &a.Application}
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return decisions.State{}, err
		}
	}
	return decisions.State{}, nil
}

// refusal is what the running service says about a rollout that it doesn't judge; nil: nothing, or it can't be asked.
func refusal(ctx context.Context, at *serve.Addresses, name string) *serve.Standing {
	if at.HTTP == "" {
		return nil
	}
	all, err := serve.Ask(ctx, at)
	if err != nil {
		return nil
	}
	for i := range all {
		if all[i].Rollout == name && all[i].Refused != "" {
			return &all[i]
		}
	}
	return nil
}

// pause waits, at most until the context ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// place is where an application finds its rollout.
type place struct {
	revision uint64             // of the file that is there; 0: none
	head     decisions.Head     // the rollout's record; zero where no service has taken it up
	same     *serve.Application // the running epoch's, where it is of the same file and a new epoch isn't wanted
}

// mayApply refuses what would change a running epoch, and a second active rollout of one model.
func mayApply(ctx context.Context, b *bus.Bus, a *application) (*place, error) {
	specs, err := b.Specs(ctx)
	if err != nil {
		return nil, err
	}
	var own place
	for _, s := range specs {
		head, _, err := b.LoadHead(ctx, s.Rollout)
		begun := err == nil
		if err != nil && !errors.Is(err, bus.ErrNotFound) && (s.Rollout == a.rollout.Name || !errors.Is(err, bus.ErrUnreadable)) {
			return nil, err
		}
		if s.Rollout != a.rollout.Name {
			_, there, err := serve.DecodeApplication(s.Body)
			if err != nil || there.Model != a.rollout.Model || a.Supersede {
				continue
			}
			if err := a.obstacle(ctx, &s, &head.State); err != nil {
				return nil, err
			}
			continue
		}
		own = place{revision: s.Revision, head: head}
		if begun && !a.again { // a file that no service has taken up may be replaced
			if own.same, err = standsAlready(&head, a); err != nil {
				return nil, err
			}
		}
	}
	return &own, nil
}

// standsAlready returns the application of a running epoch if it is of the same file, and says else why that rollout can't be
// applied again without a new epoch.
func standsAlready(h *decisions.Head, a *application) (*serve.Application, error) {
	s, r := &h.State, a.rollout
	if s.Status == decisions.StatusRefused { // it never began
		return nil, nil
	}
	afresh := cmp.Or(schemas.Readable(s.Unfinished(false)), "--new-epoch starts it afresh")
	if s.Status.Ended() {
		return nil, fmt.Errorf("rollout %s is %s in epoch %d, and stays so: %s", r.Name, s.Status, s.Epoch, afresh)
	}
	judged, running, err := serve.DecodeApplication(h.Applied)
	what := "from another file"
	if err == nil && running.Sha256 == r.Sha256 && offlineOf(running).Equal(offlineOf(r)) {
		changed := changedDocuments(judged.Documents, a.Documents)
		if changed == nil {
			return &judged, nil
		}
		what = "and was checked with what stood in " + strings.Join(changed, ", ") + " then"
	}
	return nil, fmt.Errorf("rollout %s runs already (%s, epoch %d), %s, and a running epoch never changes: %s", r.Name, s.Status, s.Epoch, what, afresh)
}

// changedDocuments are the names of the files that aren't what they were when a rollout was applied, ascending.
func changedDocuments(were, are map[string]string) []string {
	var changed []string
	for _, name := range slices.Sorted(maps.Keys(are)) {
		if were[name] != are[name] {
			changed = append(changed, name)
		}
	}
	return changed
}

// soon is when judging begins, unless said.
func soon() schemas.Time { return now() + schemas.Time(serve.StartAhead.Milliseconds()) }

func startTime(text string) (schemas.Time, error) {
	if text == "" {
		return soon(), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, wrongUse{fmt.Errorf("--from %q: it is a time such as 2026-01-31T09:00:00Z", text)}
	}
	return schemas.Time(at.UnixMilli()), nil
}

func now() schemas.Time { return schemas.Time(time.Now().UnixMilli()) }

// person is who runs this program.
func person(comment string) schemas.Actor {
	name := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return schemas.Actor{Kind: "person", Name: name, Comment: comment}
}
