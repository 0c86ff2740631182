package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"streamcanary/analysis/plan"
	"streamcanary/schemas"
)

// planPrinter writes a plan: a table for people, or a line of JSON for each guardrail of each stage and one for the fleet.
type planPrinter struct {
	*console
	rollout *schemas.Rollout
	traffic *plan.Traffic
}

func (p planPrinter) asText(stages []plan.Stage, fleet plan.Fleet) error {
	r := p.rollout
	fmt.Fprintf(p.out, "%s: %s requests a second, from %s\n", r.Name, count(p.traffic.Requests), p.traffic.Source)
	for i := range stages {
		if err := p.stage(&stages[i]); err != nil {
			return err
		}
	}
	silent := ""
	if each := fleet.FalseRollbacks / (float64(fleet.Models) * fleet.Rollouts); each > r.Risk.FalseRollback {
		silent = fmt.Sprintf(" and %.2g for a canary that is said not to come", each-r.Risk.FalseRollback)
	}
	fmt.Fprintf(p.out, "\nfalse rollbacks: at most %.3g a year for %s with %.4g rollouts a year each, at falseRollback %g%s;\n"+
		"  false holds: at most %.3g (of guardrails with on: hold, of a silent baseline, of checks of the input and self-tests)\n",
		fleet.FalseRollbacks, models(fleet.Models), fleet.Rollouts, r.Risk.FalseRollback, silent, fleet.FalseHolds)
	_, err := fmt.Fprintln(p.out, "medians of simulations, to about a quarter, where nothing else is said: events independent but for a phi that was stated or surveyed, the harm there from the first window on; ~ beyond eight times the stage, reckoned")
	return err
}

func models(n int) string {
	if n == 1 {
		return "one model"
	}
	return fmt.Sprintf("%d models", n)
}

func (p planPrinter) stage(s *plan.Stage) error {
	fmt.Fprintf(p.out, "\nstage %d: canary %.3g %%, %s requests a second; bake %s, at most %s\n",
		s.Number, 100*s.Share, count(s.PerSecond), schemas.FormatDuration(s.Bake), schemas.FormatDuration(s.Max))
	t := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "GUARDRAIL\tHARM\tSUSPECT\tFAILS\tPASSES WITHOUT HARM\tSMALLEST HARM FOUND\tRISK\tPHI")
	for i := range s.Guardrails {
		g := &s.Guardrails[i]
		if g.Unknown != "" {
			continue
		}
		suspect, pass, smallest := "-", "never: no margin", "none in time"
		if g.Suspect != nil {
			suspect = reachText(*g.Suspect)
		}
		if g.CanPass {
			pass = reachText(g.Pass)
		}
		if g.Smallest.Text != "" {
			smallest = g.Smallest.Text
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%.2g\t%s\n", g.Name, g.Harm.Text, suspect, reachText(g.Fail), pass, smallest, g.Alpha, phiText(g.Phi))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, note := range p.notes(s) {
		fmt.Fprintln(p.out, note)
	}
	return nil
}

// phiText is an over-dispersion; - where a test needs none.
func phiText(phi float64) string {
	if phi == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3g", phi)
}

// notes are what the table doesn't show: the floor, what is unknown, and what waiting for a pass costs.
func (p planPrinter) notes(s *plan.Stage) []string {
	var notes []string
	floors := map[time.Duration][]string{}
	var order []time.Duration
	for i := range s.Guardrails {
		g := &s.Guardrails[i]
		if floors[g.Floor] == nil {
			order = append(order, g.Floor)
		}
		floors[g.Floor] = append(floors[g.Floor], g.Name)
		if g.Unknown != "" {
			notes = append(notes, fmt.Sprintf("%s: not planned: %s%s", g.Name, g.Unknown, p.hint(g.Name)))
		}
		if g.Blind != "" {
			notes = append(notes, g.Name+": "+g.Blind)
		}
		if text := roughNote(g); text != "" {
			notes = append(notes, g.Name+": "+text)
		}
		if text := passNote(g, s); text != "" {
			notes = append(notes, g.Name+": "+text)
		}
		if g.Unknown == "" && g.Fail.Patience {
			notes = append(notes, fmt.Sprintf("%s: fails by patience: suspect for %s on end", g.Name, schemas.FormatDuration(p.rollout.Patience)))
		}
	}
	for _, floor := range order {
		notes = append(notes, fmt.Sprintf("nothing is known before %s of %s (window, lateness%s)", schemas.FormatDuration(floor), strings.Join(floors[floor], ", "), within(floor, p.rollout)))
	}
	return notes
}

func within(floor time.Duration, r *schemas.Rollout) string {
	if floor > r.Window+r.Lateness {
		return ", and the time within which its outcomes come"
	}
	return ""
}

// roughNote says which times are less certain than the others.
func roughNote(g *plan.Guardrail) string {
	var rough []string
	if g.Suspect != nil && g.Suspect.Rough {
		rough = append(rough, "suspect")
	}
	if g.Fail.Rough {
		rough = append(rough, "fails")
	}
	if g.Pass.Rough {
		rough = append(rough, "passes without harm")
	}
	if rough == nil {
		return ""
	}
	return strings.Join(rough, ", ") + ": to about a half, since so long a time is simulated with wider windows than the rollout's, which tell less of a mean's noise"
}

// passNote says what it costs to wait for a guardrail to pass.
func passNote(g *plan.Guardrail, s *plan.Stage) string {
	switch late := g.Pass.After > s.Max; {
	case g.Unknown != "":
		return ""
	case g.Required && !g.CanPass:
		return "is required and has no margin, so it never passes, and nothing is promoted: give it a margin, or write required: false"
	case g.Coarse != "":
		return waitsInVain(g) + g.Coarse
	case g.Blind != "":
		return ""
	case g.CanPass && g.Pass.How == plan.Unreached:
		return waitsInVain(g) + "doesn't come to a pass in eight times the stage's max: write a greater margin, give the stage more traffic or time (max), or don't wait for it (required: false, or leave it out of the stage's `pass`)"
	case g.Required && late:
		return fmt.Sprintf("is required, and would pass after %s: later than the stage's max %s, which ends without a promotion; write a greater margin, give the stage more traffic or time, or don't wait for it",
			reachText(g.Pass), schemas.FormatDuration(s.Max))
	case !g.Required && g.CanPass && late:
		return fmt.Sprintf("to require it would cost %s: more than the stage's max %s", reachText(g.Pass), schemas.FormatDuration(s.Max))
	case !g.Required && g.CanPass:
		return "to require it would cost " + reachText(g.Pass)
	}
	return ""
}

// waitsInVain begins what is said of a guardrail that the stage waits for to pass, and that never does.
func waitsInVain(g *plan.Guardrail) string {
	if g.Required {
		return "is required, and holds the stage: "
	}
	return ""
}

// hint says which flag states what is missing.
func (p planPrinter) hint(name string) string {
	if !strings.HasPrefix(p.traffic.Source, "stated") {
		return ""
	}
	for i := range p.rollout.Guardrails {
		g := &p.rollout.Guardrails[i]
		if g.Name != name || p.traffic.Baselines[i].Unknown == "" {
			continue
		}
		switch g.Kind {
		case schemas.QuantileGuardrail, schemas.DistributionGuardrail:
			return fmt.Sprintf(" (--quantile %s=p50:…,p99:…)", g.Of)
		case schemas.MeanGuardrail:
			return fmt.Sprintf(" (--mean %s=MEAN:DEVIATION)", g.Of)
		case schemas.GaugeGuardrail:
			return fmt.Sprintf(" (--rate %s=1%% --samples %s=2)", g.Of, g.Of)
		}
		return fmt.Sprintf(" (--rate %s=1%%)", g.Of)
	}
	return ""
}

// reachText is e.g. "1.2k in 57s", "~1.3M in 18h", or "not in sight".
func reachText(r plan.Reach) string {
	if r.How == plan.Unreached {
		return "not in sight"
	}
	mark := ""
	if r.How != plan.Simulated {
		mark = "~"
	}
	return mark + count(r.Events) + " in " + roughly(r.After)
}

// count is a number for people, with three digits.
func count(x float64) string {
	switch {
	case x >= 999.5e6:
		return fmt.Sprintf("%.3gG", x/1e9)
	case x >= 999.5e3:
		return fmt.Sprintf("%.3gM", x/1e6)
	case x >= 9995:
		return fmt.Sprintf("%.3gk", x/1e3)
	}
	return fmt.Sprintf("%.4g", x)
}

// roughly is a duration to about a hundredth.
func roughly(d time.Duration) string {
	switch {
	case d > 100*24*time.Hour:
		return fmt.Sprintf("%.0f days", d.Hours()/24)
	case d > 48*time.Hour:
		return fmt.Sprintf("%.1f days", d.Hours()/24)
	case d > 100*time.Minute:
		d = d.Round(time.Minute)
	case d > time.Minute:
		d = d.Round(time.Second)
	default:
		d = d.Round(100 * time.Millisecond)
	}
	return schemas.FormatDuration(d)
}

// planLine is one guardrail in one stage, as `plan --json` prints it.
type planLine struct {
	Type      string     `json:"type"`
	Rollout   string     `json:"rollout"`
	Stage     int        `json:"stage"`
	Share     float64    `json:"share"`
	Guardrail string     `json:"guardrail"`
	Unknown   string     `json:"unknown,omitempty"`
	Harm      string     `json:"harm,omitempty"`
	Suspect   *planReach `json:"suspect,omitempty"`
	Fail      *planReach `json:"fail,omitempty"`
	Pass      *planReach `json:"pass,omitempty"`
	Smallest  string     `json:"smallest_harm,omitempty"`
	NoPass    string     `json:"no_pass,omitempty"` // why a canary like the baseline can't pass, and what to do
	NoFail    string     `json:"no_fail,omitempty"` // why no harm beyond the margin can show, and what to do
	Required  bool       `json:"required"`
	Alpha     float64    `json:"alpha"`
	Phi       float64    `json:"phi,omitempty"`
	Floor     float64    `json:"floor_seconds"`
	Max       float64    `json:"max_seconds"`
}

// planReach is what something needs.
type planReach struct {
	How      plan.How `json:"how"`
	Events   *float64 `json:"canary_events"` // null: not in sight
	Seconds  *float64 `json:"seconds"`
	Patience bool     `json:"by_patience,omitempty"`
	Rough    bool     `json:"rough,omitempty"` // to about a half rather than a quarter
}

func lineReach(r plan.Reach) *planReach {
	one := &planReach{How: r.How, Patience: r.Patience, Rough: r.Rough}
	if seconds := r.After.Seconds(); r.How != plan.Unreached {
		one.Events, one.Seconds = &r.Events, &seconds
	}
	return one
}

func (p planPrinter) asJSON(stages []plan.Stage, fleet plan.Fleet) error {
	out := json.NewEncoder(p.out)
	for i := range stages {
		s := &stages[i]
		for _, g := range s.Guardrails {
			line := planLine{
				Type: "guardrail", Rollout: p.rollout.Name, Stage: s.Number, Share: s.Share, Guardrail: g.Name, Unknown: g.Unknown, Harm: g.Harm.Text,
				Smallest: g.Smallest.Text, NoPass: g.Coarse, NoFail: g.Blind, Required: g.Required, Alpha: g.Alpha, Phi: g.Phi, Floor: g.Floor.Seconds(), Max: s.Max.Seconds(),
			}
			if g.Suspect != nil {
				line.Suspect = lineReach(*g.Suspect)
			}
			if g.Unknown == "" {
				line.Fail = lineReach(g.Fail)
			}
			if g.Unknown == "" && g.CanPass {
				line.Pass = lineReach(g.Pass)
			}
			if err := out.Encode(line); err != nil {
				return err
			}
		}
	}
	return p.fleet(out, fleet)
}

func (p planPrinter) fleet(out *json.Encoder, f plan.Fleet) error {
	return out.Encode(struct {
		Type           string  `json:"type"`
		Rollout        string  `json:"rollout"`
		Source         string  `json:"source"`
		Requests       float64 `json:"requests_per_second"`
		Models         int     `json:"models"`
		Rollouts       float64 `json:"rollouts_per_model"`
		FalseRollbacks float64 `json:"false_rollbacks_a_year_at_most"`
		FalseHolds     float64 `json:"false_holds_a_year_at_most"`
	}{"summary", p.rollout.Name, p.traffic.Source, p.traffic.Requests, f.Models, f.Rollouts, f.FalseRollbacks, f.FalseHolds})
}
