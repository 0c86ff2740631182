package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"streamcanary/cmd/serve"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// rolloutLine is one rollout, as `rollout list --json` prints it.
type rolloutLine struct {
	Type      string       `json:"type"`
	Rollout   string       `json:"rollout"`
	Model     string       `json:"model"`
	Baseline  string       `json:"baseline"`
	Canary    string       `json:"canary"`
	Status    string       `json:"status"` // applied: no service has taken it up; refused: the service says why it won't; unreadable: its record can't be read; unknown: it is under way by its last decision, and its record is gone
	Why       string       `json:"why,omitempty"`
	RefusedAt schemas.Time `json:"refused_at,omitzero"` // where a refusal is kept
	Waiting   []string     `json:"waiting,omitempty"`   // for the answers of these
	Person    string       `json:"person,omitempty"`    // a person is waited for, since it holds for this
	Stands    []string     `json:"stands,omitempty"`    // what people were told of, and that isn't over, by the record
	Undone    bool         `json:"undone,omitempty"`    // a rollback that is not yet carried out
	Lost      string       `json:"lost,omitempty"`      // why the service that answers no longer decides for it: what the record has may not be published
	StandsBy  bool         `json:"stands_by,omitempty"` // lost says no more than that another service decides for it, as in every deploy
	Epoch     int64        `json:"epoch"`
	Seq       int64        `json:"seq"`
	Stage     int          `json:"stage,omitempty"` // that it is in, from 1, of so many
	Stages    int          `json:"stages,omitempty"`
	EventTime schemas.Time `json:"event_time,omitzero"` // up to which it is judged
	Verdict   string       `json:"verdict,omitempty"`   // now; only where the service answers
}

// lineOf puts together what the file, the record and the running service (nil: unknown) say.
func lineOf(s *bus.Spec, state *decisions.State, live *serve.Standing) rolloutLine {
	l := rolloutLine{Type: "rollout", Rollout: s.Rollout, Model: state.Terms.Model, Baseline: state.Terms.Baseline,
		Canary: state.Terms.Canary, Status: statusOf(state), Epoch: state.Epoch, Seq: state.Seq, EventTime: schemas.Time(state.EventMs)}
	if state.Status != "" {
		l.Waiting, l.Person, l.Stands, l.Undone = state.Missing(), state.AwaitsPerson(), state.Stands(), state.Undone()
		l.Stage, l.Stages = state.Stage+1, len(state.Terms.Stages)
	}
	if state.Status == "" {
		no := live
		if live == nil || live.Refused == "" {
			no = serve.Refusal(s.Rollout, s.Body)
		}
		if no != nil {
			l.Status, l.Why, l.RefusedAt = "refused", no.Refused, no.RefusedAt
		}
		if _, r, err := serve.DecodeApplication(s.Body); err == nil {
			l.Model, l.Baseline, l.Canary = r.Model, r.Baseline, r.Canary
		}
	}
	if live != nil {
		l.Lost, l.StandsBy = live.Lost, live.StandsBy
	}
	if state.Status == "" && l.Lost != "" { // its record is gone
		l.Status, l.Epoch, l.Seq = string(live.Status), live.Epoch, live.Seq
	}
	if live != nil && live.Refused == "" && live.Epoch == state.Epoch {
		l.EventTime = max(l.EventTime, live.Reached)
		if evidenceCounts(state) {
			l.Verdict = string(live.Verdict)
		}
	}
	if state.Status == decisions.StatusRefused { // nothing was judged
		l.EventTime = 0
	}
	return l
}

// evidenceCounts reports whether what the evidence says now still changes something: also while a promotion is on its way, or a rollback goes by steps.
func evidenceCounts(s *decisions.State) bool {
	return s.Status != decisions.StatusPreparing && !s.Status.Ended() || s.Returning()
}

// forgottenLines are the rollouts that the service has, and of which there is no file: LOST ones, mostly without a record, and what is under way while its file is being written back.
func forgottenLines(specs []bus.Spec, live map[string]*serve.Standing) []rolloutLine {
	var lines []rolloutLine
	for _, name := range slices.Sorted(maps.Keys(live)) {
		s := live[name]
		over := s.Lost == "" && s.Status.Ended() && !s.Undone // as of what was deleted just now
		if s.Refused != "" || over || slices.ContainsFunc(specs, func(spec bus.Spec) bool { return spec.Rollout == name }) {
			continue
		}
		lines = append(lines, rolloutLine{Type: "rollout", Rollout: name, Model: s.Model, Baseline: s.Baseline, Canary: s.Canary, Status: string(s.Status), Waiting: s.Waiting, Stands: s.Stands, Undone: s.Undone,
			Lost: s.Lost, StandsBy: s.StandsBy, Epoch: s.Epoch, Seq: s.Seq, EventTime: s.Reached})
	}
	return lines
}

func listCommand(c *console) *cobra.Command {
	var r reach
	cmd := &cobra.Command{
		Use: "list", Short: "List the rollouts and where they stand", Args: noArguments,
		Example: "  streamcanary rollout list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, a, err := r.bus(cmd.Context(), c)
			if err != nil {
				return err
			}
			defer b.Close()
			specs, err := b.Specs(cmd.Context())
			if err != nil {
				return err
			}
			live, silent := standings(cmd.Context(), &a) // without it, the record's own event time is shown
			var lines []rolloutLine
			for i := range specs {
				head, _, err := b.LoadHead(cmd.Context(), specs[i].Rollout)
				if err != nil && !errors.Is(err, bus.ErrNotFound) && !errors.Is(err, bus.ErrUnreadable) {
					return err
				}
				line := lineOf(&specs[i], &head.State, live[specs[i].Rollout])
				if errors.Is(err, bus.ErrUnreadable) {
					line.Status, line.Why = "unreadable", err.Error()
				}
				lines = append(lines, line)
			}
			lines = append(lines, forgottenLines(specs, live)...)
			if silent != nil && slices.ContainsFunc(lines, goesOn) {
				say(c.err, "not all of it: verdicts, and how far it is judged now, are unknown: %v\n", silent)
			}
			return printRollouts(c, lines)
		},
	}
	reachFlags(cmd, &r)
	tokenFlag(cmd, &r)
	return cmd
}

// goesOn reports whether the service may know more of a rollout than its record does.
func goesOn(l rolloutLine) bool { return !decisions.Status(l.Status).Ended() }

func printRollouts(c *console, lines []rolloutLine) error {
	if len(lines) == 0 {
		fmt.Fprintln(c.err, "no rollouts; apply one with `streamcanary rollout apply --rollout FILE`")
		return nil
	}
	t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	if !c.json {
		sayElsewhere(c, lines)
		fmt.Fprintln(t, "ROLLOUT\tMODEL\tBASELINE\tCANARY\tSTATUS\tSTAGE\tVERDICT\tEPOCH\tDECISIONS\tJUDGED UP TO\tWAITS FOR")
	}
	for _, l := range lines {
		if c.json {
			if err := json.NewEncoder(c.out).Encode(l); err != nil {
				return err
			}
			continue
		}
		if l.Why != "" {
			say(c.err, "rollout %s is %s: %s%s\n", l.Rollout, l.Status, l.Why, l.asOf())
		}
		if l.Lost != "" && !l.StandsBy {
			say(c.err, "rollout %s is LOST: %s\n", l.Rollout, l.Lost)
			l.Status = "LOST, " + l.Status
		}
		say(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", l.Rollout, l.Model, l.Baseline, l.Canary, l.Status, l.stageText(), orDash(l.Verdict),
			l.Epoch, l.Seq, l.judgedText(), l.waitsText())
	}
	return t.Flush()
}

// asOf says of when a refusal is; "": it is none.
func (l *rolloutLine) asOf() string {
	if l.Status != "refused" {
		return ""
	}
	return ". " + refusedAsOf(l.Rollout, l.RefusedAt)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// waitsText is whose answer is waited for, a person's, too, or that the canary must drain, and what stands that people were told of.
func (l *rolloutLine) waitsText() string {
	waiting := l.Waiting
	if l.Person != "" {
		waiting = append(slices.Clone(waiting), fmt.Sprintf("a person (%s)", l.Person))
	}
	text := strings.Join(waiting, ", ")
	if text == "" && l.Undone {
		text = "the canary to drain"
	}
	if len(l.Stands) == 0 {
		return orDash(text)
	}
	stands := "stands: " + strings.Join(l.Stands, ", ")
	if text == "" {
		return stands
	}
	return text + "; " + stands
}

// stageText is e.g. 2 of 3.
func (l *rolloutLine) stageText() string {
	if l.Stages == 0 {
		return "-"
	}
	return fmt.Sprintf("%d of %d", l.Stage, l.Stages)
}

// judgedText is the event time up to which a rollout is judged, or a dash where nothing is yet.
func (l *rolloutLine) judgedText() string {
	if l.EventTime == 0 || l.Status == string(decisions.StatusPreparing) {
		return "-"
	}
	return l.EventTime.String()
}
