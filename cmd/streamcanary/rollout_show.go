package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"streamcanary/analysis"
	"streamcanary/cmd/serve"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

func oneName(_ *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return errors.New("name one rollout; `streamcanary rollout list` lists them")
	}
	if n := len(args[0]); n > schemas.MaxNameBytes {
		return fmt.Errorf("that has %d bytes, and a rollout's name has %d at most; `streamcanary rollout list` lists them", n, schemas.MaxNameBytes)
	}
	return nil
}

// noRollout says that a rollout is not there, or why that isn't known.
func noRollout(name string, err error) error {
	if errors.Is(err, bus.ErrNotFound) {
		return fmt.Errorf("there is no rollout %s; `streamcanary rollout list` lists them", name)
	}
	return err
}

// standings are those of the service that runs on the data folder, by rollout; none where it doesn't answer.
func standings(ctx context.Context, a *serve.Addresses) (map[string]*serve.Standing, error) {
	if a.HTTP == "" {
		return nil, errors.New("the address of the service is not known here: name its data folder with --data")
	}
	all, err := serve.Ask(ctx, a)
	if err != nil {
		return nil, err
	}
	by := map[string]*serve.Standing{}
	for i := range all {
		if s := &all[i]; by[s.Rollout] == nil {
			by[s.Rollout] = s
		}
	}
	return by, nil
}

// statusOf is a rollout's status; one that no service has taken up is "applied".
func statusOf(s *decisions.State) string {
	if s.Status == "" {
		return "applied"
	}
	return string(s.Status)
}

// advised says of a rollout that has ended what its status doesn't: that it was told, and not done.
func advised(v *view) string {
	if v.Mode != schemas.Advise || !v.Record.State.Status.Ended() {
		return ""
	}
	return " (as advice: nobody has acted on it)"
}

// loadHead connects, and reads a rollout's record.
func loadHead(ctx context.Context, c *console, r *reach, name string) (decisions.Head, error) {
	b, a, err := r.bus(ctx, c)
	if err != nil {
		return decisions.Head{}, err
	}
	defer b.Close()
	return recordOf(ctx, b, &a, name)
}

// recordOf reads a rollout's record; where there is none, the error says why.
func recordOf(ctx context.Context, b *bus.Bus, a *serve.Addresses, name string) (decisions.Head, error) {
	head, _, err := b.LoadHead(ctx, name)
	if !errors.Is(err, bus.ErrNotFound) {
		return head, err
	}
	spec, err := b.Spec(ctx, name)
	if err != nil {
		if live, _ := standings(ctx, a); live[name] != nil && live[name].Lost != "" {
			return head, fmt.Errorf("rollout %s is LOST: %s", name, live[name].Lost)
		}
		return head, noRollout(name, err)
	}
	if why := cmp.Or(refusal(ctx, a, name), serve.Refusal(name, spec.Body)); why != nil {
		return head, stillRefused(name, why)
	}
	return head, fmt.Errorf("rollout %s is applied, but no serve has taken it up: does one run on this NATS?", name)
}

// The moments of which `rollout show` tells.
const (
	asOfNow      = "now"           // the running service has just said it
	asOfDecision = "last_decision" // it stands in the record
	asOfStart    = "start"         // nothing was decided yet
)

// view is one rollout, as `rollout show --json` prints it.
type view struct {
	rolloutLine
	Mode       schemas.Mode              `json:"mode"`
	Routes     []schemas.Route           `json:"routes,omitempty"`
	AsOf       string                    `json:"as_of"` // of code, sentence, guardrails and health: now, last_decision or start
	Code       string                    `json:"code,omitempty"`
	Sentence   string                    `json:"sentence,omitempty"`
	Guardrails []schemas.GuardrailStatus `json:"guardrails"`
	Bands      []schemas.Band            `json:"bands,omitempty"` // of now only; for display only
	Waits      []schemas.Wait            `json:"waits,omitempty"` // of now only: guardrails that the stage waits for to pass, and that won't by what is known now
	Health     []schemas.Finding         `json:"health,omitempty"`
	EvidenceOf string                    `json:"evidence_of,omitempty"`    // as_of last_decision: the decision of which guardrails and health are
	EvidenceAt schemas.Time              `json:"evidence_at,omitzero"`     // up to which event time it was judged by then
	Others     []analysis.OtherVersion   `json:"other_versions,omitempty"` // of the model, that answer now
	Skew       *schemas.Skew             `json:"skew,omitempty"`           // of the canary's scores, where there are offline ones
	Later      *laterEpoch               `json:"later,omitempty"`          // of the model, where this one has ended
	Links      map[string]string         `json:"links,omitempty"`          // the rollout's annotations
	Decided    *schemas.Reason           `json:"last_decision,omitempty"`  // why the last one but the start, and but what only follows from one
	Last       *lastDecision             `json:"last,omitempty"`           // the last one, whatever it is about
	Refused    *serve.RefusedChange      `json:"refused_change,omitempty"` // what was applied over it last, where that was refused
	LeftOut    string                    `json:"left_out,omitempty"`       // what is missing here, why, and how to get it
	Record     *decisions.Head           `json:"record"`
}

// leftOut says what is missing where the service doesn't say how a rollout stands now; "": nothing that counts any more.
func leftOut(s *decisions.State, silent error) string {
	if silent == nil || s.Status.Ended() && !s.Returning() {
		return ""
	}
	return fmt.Sprintf("how it stands now is unknown (guardrails with their evidence, findings of health, the verdict): %v; what follows is the record, and what stood at the last decision", silent)
}

// viewOf tells of now while the rollout is judged, and of its last decision afterwards.
func viewOf(h *decisions.Head, live *serve.Standing) view {
	s := &h.State
	v := view{rolloutLine: lineOf(&bus.Spec{Rollout: s.Terms.Rollout}, s, live), Mode: s.Terms.Mode, Routes: s.Routes, Links: s.Terms.Links,
		AsOf: asOfStart, Sentence: "Nothing but the start was decided yet.", Guardrails: []schemas.GuardrailStatus{}, Decided: s.Why, Record: h}
	switch {
	case s.Status == decisions.StatusPreparing:
		v.Verdict, v.Code, v.Sentence = "", "preparing", s.PreparingText()
	case live != nil && live.Epoch == s.Epoch && evidenceCounts(s):
		v.AsOf, v.Code, v.Sentence, v.Guardrails, v.Health = asOfNow, live.Code, live.Sentence, live.Guardrails, live.Health
		v.Bands, v.Waits, v.Skew, v.Others = live.Bands, live.Waits, live.Skew, live.Others
	case s.Why != nil:
		v.AsOf, v.Code, v.Sentence, v.Guardrails, v.Health = asOfDecision, s.Why.Code, s.WhyText(), s.Why.Guardrails, s.Why.Health
		v.Skew = s.Skew
	}
	return v
}

func showCommand(c *console) *cobra.Command {
	var r reach
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show one rollout: how its guardrails stand, what was decided and why", Args: oneName,
		Long: `Shows a rollout's record and its guardrails with their evidence: as they stand now while the service that judges it can be asked
(its address is in the data folder), else as they stood at the last decision.`,
		Example: "  streamcanary rollout show ranker-42",
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := look(cmd.Context(), c, &r, args[0])
			if err != nil {
				return err
			}
			if c.json {
				return json.NewEncoder(c.out).Encode(v)
			}
			return printView(c.out, v)
		},
	}
	reachFlags(cmd, &r)
	tokenFlag(cmd, &r)
	return cmd
}

// look puts together what the record, the running service and the decision log say of a rollout.
func look(ctx context.Context, c *console, r *reach, name string) (*view, error) {
	b, a, err := r.bus(ctx, c)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	head, err := recordOf(ctx, b, &a, name)
	if err != nil {
		return nil, err
	}
	live, silent := standings(ctx, &a)
	v := viewOf(&head, live[name])
	v.LeftOut = leftOut(&head.State, silent)
	if spec, err := b.Spec(ctx, name); err == nil {
		v.Refused = serve.RefusedOver(head.State.Terms.Application, spec.Body)
	}
	v.complete(ctx, b, &a)
	return &v, nil
}

// printView writes a rollout for people.
func printView(w io.Writer, v *view) error {
	s := &v.Record.State
	switch ids := serve.Unpublished(v.Record); {
	case v.Lost != "":
		say(w, "%s: %s\n\n", v.elsewhere("STANDS BY", "LOST"), v.Lost)
	case len(ids) > 0:
		say(w, "NOT PUBLISHED: %s: decided and stored, but not in the decision log yet, so nobody obeys it: look at /readyz and the log of serve\n\n", strings.Join(ids, ", "))
	}
	if v.LeftOut != "" {
		say(w, "NOT ALL OF IT: %s\n\n", v.LeftOut)
	}
	say(w, "%s: model %s, canary %s against baseline %s, mode %s\n", v.Rollout, v.Model, v.Canary, v.Baseline, v.Mode)
	say(w, "status: %s%s, epoch %d, %d decisions, judged up to %s%s\n", v.Status, undoneText(s), v.Epoch, v.Seq, v.judgedText(), advised(v))
	if no := v.Refused; no != nil {
		say(w, "refused: %s\n", changeText(no, s))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Terms.Links)) {
		say(w, "link: %s: %s\n", name, s.Terms.Links[name])
	}
	if text := v.unheeded(); text != "" {
		say(w, "routers: %s\n", text)
	}
	printTraffic(w, s)
	if x := v.Later; x != nil {
		say(w, "since then: rollout %s has decided about model %s (epoch %d): the routes here are of before; `streamcanary rollout show %s`, or `streamcanary decisions list`, tells\n", x.Rollout, v.Model, x.Epoch, x.Rollout)
	}
	fmt.Fprintln(w)
	switch v.AsOf {
	case asOfNow:
		say(w, "now: %s (%s): %s\n", v.Verdict, v.Code, v.Sentence)
		printDecided(w, v)
	case asOfDecision:
		printDecided(w, v)
	default:
		say(w, "%s\n", v.Sentence)
	}
	if len(v.Guardrails) > 0 {
		fmt.Fprintln(w)
		if v.EvidenceOf != "" {
			say(w, "guardrails%s:\n", v.evidenceText())
		}
		err := printGuardrails(w, v.Guardrails)
		fmt.Fprint(w, exemplarLines("", v.Guardrails))
		if err := errors.Join(err, printBands(w, v.Bands)); err != nil {
			return err
		}
	}
	printWaits(w, v.Waits)
	for _, f := range v.Health {
		say(w, "health%s: %s: %s\n", v.evidenceText(), f.Code, f.Sentence)
	}
	if others := analysis.OthersText(v.Others); others != "" {
		say(w, "traffic: %s\n", others)
	}
	if v.AsOf != asOfNow { // else it is among these
		for _, b := range s.Beyond {
			say(w, "baseline: %s\n", b.Sentence)
		}
		for _, f := range s.Amiss {
			if !s.Status.Ended() {
				say(w, "traffic: %s\n", f.Sentence)
			}
		}
	}
	printSkew(w, v.Skew)
	return nil
}

func undoneText(s *decisions.State) string {
	if s.Undone() {
		return " (not yet carried out)"
	}
	return ""
}

// evidenceText says of which decision the findings of health are, where they aren't of now: what goes on counting, as what is seen of the baseline, has other numbers since.
func (v *view) evidenceText() string {
	if v.EvidenceOf == "" {
		return ""
	}
	return fmt.Sprintf(" at decision %s (judged up to %s)", v.EvidenceOf, v.EvidenceAt)
}

// unheeded says of routers that they may have other routes than the record; "": nothing is known of that.
func (v *view) unheeded() string {
	switch kept := serve.Kept(v.Record); {
	case kept != nil:
		return fmt.Sprintf("were told last %s: the routes below are decided, and not published", routeText(kept))
	case v.Lost != "" && !v.StandsBy && len(v.Record.State.Routes) > 0:
		return "may have others than the routes below, which are the record's: see LOST"
	}
	return ""
}

// printTraffic writes what is routed, and who is waited for.
func printTraffic(w io.Writer, s *decisions.State) {
	if len(s.Terms.Stages) > 1 {
		since := "begins when routers have followed"
		if at := s.StageFromMs(); at > 0 {
			since = fmt.Sprintf("of windows from %s on", schemas.Time(at)) // that may be still to come
		}
		say(w, "stage: %s, %s\n", s.StageText(), since)
	}
	if text := s.WarmingText(); text != "" {
		say(w, "cache: %s\n", text)
	}
	if len(s.Routes) > 0 {
		decided := ""
		if who := s.RoutersText(); who != "" {
			decided = fmt.Sprintf(" (decided; waits for %s to answer: see below)", who)
		}
		say(w, "routes: %s%s\n", routeText(s.Routes), decided)
	}
	if s.Wait != nil {
		say(w, "waiting: %s\n", s.WaitText())
	}
	if s.Saga != nil {
		for _, step := range s.Saga.Steps {
			say(w, "rollback step %s: %s%s%s\n", step.Name, step.State, late(&step), because(s.StepText(&step)))
		}
	}
	if s.Promotion != nil {
		for _, step := range s.Promotion.Steps {
			say(w, "promotion step %s: %s%s%s\n", step.Name, step.State, late(&step), because(s.StepText(&step)))
		}
	}
	if text := s.MutedText(time.Now().UnixMilli()); text != "" {
		say(w, "muted: %s\n", text)
	}
	if text := s.RetiredText(); text != "" {
		say(w, "retired: %s\n", text)
	}
	for i := range s.Strays {
		say(w, "waiting: %s\n", s.StrayText(&s.Strays[i]))
	}
	for _, why := range s.Recommended() {
		say(w, "recommended: %s\n", why.Sentence)
	}
	for _, text := range s.TruncatedTexts() {
		say(w, "alerts: %s\n", text)
	}
	printWatched(w, s)
	for _, text := range s.SnapshotTexts() {
		say(w, "state: %s\n", text)
	}
	if text := s.FrozenText(); text != "" {
		say(w, "state: %s\n", text)
	}
	if text := s.HeldText(); text != "" {
		say(w, "state: %s\n", text)
	}
	if text := s.ThawText(); text != "" {
		say(w, "state: %s\n", text)
	}
	if f := s.Freezing; f != nil {
		say(w, "waiting: for stores to take no writes, of decision %s, until %s (attempt %d)\n", f.Decision, schemas.Time(f.DeadlineMs), f.Attempt+1)
	}
	for _, a := range s.Answers {
		who := a.Consumer
		if s.Stranger(who) {
			who += " (whom nobody asks)"
		}
		say(w, "ack: %s answered %s to decision %d%s\n", who, a.Status, a.Seq, because(a.Why))
	}
}

// late is until when a step may take, and how often its deadline has passed.
func late(step *decisions.SagaStep) string {
	next := ""
	if step.DeadlineMs > 0 && step.State != decisions.StepAcked {
		next = schemas.Time(step.DeadlineMs).String()
	}
	switch {
	case step.Attempt == 0 && next == "":
		return ""
	case step.Attempt == 0:
		return fmt.Sprintf(" (until %s)", next)
	case next == "":
		return fmt.Sprintf(" (deadline passed %s)", times(step.Attempt))
	}
	return fmt.Sprintf(" (deadline passed %s, next %s)", times(step.Attempt), next)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + schemas.Readable(why)
}
