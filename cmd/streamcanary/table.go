package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"streamcanary/analysis"
	"streamcanary/cmd/engine"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// printSummary writes what a replay found, for people; bad are the bad events by their reason.
func printSummary(w io.Writer, r *schemas.Rollout, s *engine.Summary, bad string) error {
	if s.Partial {
		fmt.Fprintln(w, "PARTIAL: the log could not be read to its end, and what follows is of what came before")
	}
	fmt.Fprintf(w, "%s: model %s, canary %s against baseline %s\n", r.Name, r.Model, r.CanaryWhere.Of(r.Canary), r.BaselineWhere.Of(r.Baseline))
	fmt.Fprintf(w, "verdict: %s (%s)\n  %s\n\n", s.Verdict, s.Code, s.Sentence)
	err := printGuardrails(w, s.Guardrails)
	if len(s.Segments) > 0 {
		fmt.Fprintln(w)
		err = errors.Join(err, printGuardrails(w, s.Segments))
	}
	if err := errors.Join(err, printBands(w, s.Bands)); err != nil {
		return err
	}
	printWaits(w, s.Waits)
	for _, f := range s.Health {
		fmt.Fprintf(w, "health: %s: %s\n", f.Code, f.Sentence)
	}
	printSkew(w, s.Skew)
	fmt.Fprintln(w)
	for _, kind := range []schemas.Kind{schemas.KindPrediction, schemas.KindOutcome, schemas.KindSample} {
		if s.Counts.Total(kind) > 0 {
			fmt.Fprintf(w, "%ss: %s\n", kind, classLine(&s.Counts, kind))
		}
	}
	if s.Counts == (windows.Counts{}) && !s.Partial {
		fmt.Fprintln(w, "note: the log has no events")
	}
	if invalid, all := totals(s); invalid > 0 && invalid == all {
		fmt.Fprintln(w, "note: no record of the log is an event: is it the right file, with one JSON object a line?")
	}
	if n := s.Counts.Of(schemas.KindPrediction, windows.Other); n > 0 && n == s.Counts.Total(schemas.KindPrediction) {
		fmt.Fprintf(w, "note: no prediction is of model %s, version %s or %s: is this the right log?\n", r.Model, r.BaselineWhere.Of(r.Baseline), r.CanaryWhere.Of(r.Canary))
	}
	if s.Unreadable > 0 {
		fmt.Fprintf(w, "unreadable: %d records of unknown kind (an event says its type: prediction, outcome or sample; --type names that of all)\n", s.Unreadable)
	}
	if bad != "" {
		fmt.Fprintf(w, "bad events: %s (--invalid FILE keeps them)\n", bad)
	}
	printSplits(w, s.Splits)
	printNotes(w, s)
	for i := range r.Alerts {
		fmt.Fprintf(w, "note: guardrail %s is from outside: a log has no alerts, so it was not judged\n", r.Alerts[i].Name)
	}
	span := ""
	if s.Windows > 0 {
		span = fmt.Sprintf(", event time %s to %s", s.First, s.Reached)
	}
	_, err = fmt.Fprintf(w, "%d windows with events%s\ndigest %s\n", s.Windows, span, s.Digest)
	return err
}

// printSplits says where the log's own split was taken as the plan.
func printSplits(w io.Writer, splits []engine.Split) {
	for _, s := range splits {
		fmt.Fprintf(w, "note: stage %d plans %.3g %% for the canary, and in the log it has %.3g %%: a replay takes the log's own split as the plan; serve would tell of it, and let nothing pass\n",
			s.Stage, 100*s.Planned, 100*s.Seen)
	}
}

// printNotes writes what a bound has cost.
func printNotes(w io.Writer, s *engine.Summary) {
	if s.Forced > 0 {
		fmt.Fprintf(w, "note: %d windows were judged before slower streams caught up, because too many waited\n", s.Forced)
	}
	if s.Outrun > 0 {
		fmt.Fprintf(w, "note: %d events are late because they come more than an hour after the other kinds of events in their file: "+
			"give each kind a file of its own, and none is\n", s.Outrun)
	}
	late, all := s.Counts.Of(schemas.KindPrediction, windows.Late), s.Counts.Total(schemas.KindPrediction)
	if float64(late) > muchLate*float64(all) {
		fmt.Fprintf(w, "note: %d of %d predictions are late, and entered no test: one event whose time is wrong by less than time.maxJump makes those behind it "+
			"late for as long; or the log isn't in the order of time, and lateness is too short for it\n", late, all)
	}
	if s.Lost > 0 {
		fmt.Fprintf(w, "note: %d predictions or outcomes were forgotten before their time, because too many waited for each other\n", s.Lost)
	}
}

// muchLate is the share of late predictions from which a summary says what may be wrong.
const muchLate = .1

// totals are the records that are no events, and all records.
func totals(s *engine.Summary) (invalid, all int64) {
	invalid, all = s.Unreadable, s.Unreadable
	for _, kind := range []schemas.Kind{schemas.KindPrediction, schemas.KindOutcome, schemas.KindSample} {
		invalid, all = invalid+s.Counts.Of(kind, windows.Invalid), all+s.Counts.Total(kind)
	}
	return invalid, all
}

// classLine is e.g. "16451 counted, 579 duplicate".
func classLine(counts *windows.Counts, kind schemas.Kind) string {
	var parts []string
	for _, class := range windows.ClassesOf(kind) {
		if n := counts.Of(kind, class); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, class))
		}
	}
	return strings.Join(parts, ", ")
}

// mutedText says that a guardrail counts nothing now; until when, and why, is a finding.
func mutedText(g *schemas.GuardrailStatus) string {
	if g.MutedUntil == 0 {
		return ""
	}
	return "muted"
}

// printGuardrails writes the guardrails as a table: state, estimate, interval, with that of the ratio where the estimate is a difference and the other way round, what
// it is held against, and the evidence; under it how distributions look.
func printGuardrails(w io.Writer, guardrails []schemas.GuardrailStatus) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "GUARDRAIL\tSTATE\tESTIMATE\tINTERVAL SINCE START\tMARGIN\tCANARY\tBASELINE\tEVIDENCE")
	for i := range guardrails {
		g := &guardrails[i]
		if g.Against == schemas.AgainstAlerts {
			fmt.Fprintln(t, alertRow(g))
			continue
		}
		state := string(g.State)
		if why := cmp.Or(mutedText(g), g.Why, g.Calibration); why != "" {
			state += " (" + why + ")"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s%s\t%s\t%s\t%s\t%s\n", nameText(g), state, estimateText(g),
			interval(g), ratioBounds(g.Ratio)+differenceBounds(g), marginText(g), armText(g, &g.Canary), armText(g, &g.Baseline), evidenceText(g))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i := range guardrails {
		if _, err := io.WriteString(w, shapeLines(&guardrails[i])+alertLines(&guardrails[i])+cappedLine(&guardrails[i])); err != nil {
			return err
		}
	}
	return nil
}

// cappedLine says that a mean is of values that are mostly at its cap.
func cappedLine(g *schemas.GuardrailStatus) string {
	if g.Capped == 0 {
		return ""
	}
	return fmt.Sprintf("%s: %.0f %% of an arm's values are at the cap or beyond, where they aren't told apart: a mean within its margin says little; set a higher cap\n", nameText(g), math.Floor(100*g.Capped))
}

// ratioBounds stands behind the interval of a difference: those of the ratio, e.g. " (x1.48 .. x2.9)"; empty where nothing is known of it.
func ratioBounds(r *schemas.Interval) string {
	if r == nil || r.Upper == nil && (r.Lower == nil || *r.Lower <= 0) {
		return ""
	}
	if schemas.Crossed(r.Lower, r.Upper) {
		return fmt.Sprintf(" (once >= x%.3g, once <= x%.3g)", *r.Lower, *r.Upper)
	}
	lower, upper := "x0", "inf"
	if r.Lower != nil {
		lower = fmt.Sprintf("x%.3g", *r.Lower)
	}
	if r.Upper != nil {
		upper = fmt.Sprintf("x%.3g", *r.Upper)
	}
	return " (" + lower + " .. " + upper + ")"
}

// differenceBounds stands behind the interval of a ratio of rates: those of their difference; empty where nothing is known of it.
func differenceBounds(g *schemas.GuardrailStatus) string {
	d := g.Difference
	if d == nil || (d.Lower == nil || *d.Lower <= -1) && (d.Upper == nil || *d.Upper >= 1) {
		return ""
	}
	return " (" + interval(&schemas.GuardrailStatus{Unit: "share", Estimate: d.Estimate, Lower: d.Lower, Upper: d.Upper}) + ")"
}

// shapeLines tell how a distribution looks: at which quantile there is evidence of harm, and how users of other judges know it. Empty where a
// guardrail is of no distribution, or nothing of it was tested yet.
func shapeLines(g *schemas.GuardrailStatus) string {
	if g.KS == nil || g.MannWhitneyP == nil || g.ProbabilityIndex == nil {
		return ""
	}
	text := nameText(g) + ": "
	if g.AtQuantile > 0 {
		text += fmt.Sprintf("the estimate is of p%.6g; ", 100*g.AtQuantile)
	}
	for i, q := range g.Shape {
		before := ", "
		if i == 0 {
			before = "evidence of any harm by quantile: "
		}
		text += fmt.Sprintf("%sp%.6g %.1f", before, 100*q.Quantile, q.LogEvidence)
	}
	if len(g.Shape) > 0 {
		text += "\n  "
	}
	return fmt.Sprintf("%sin %.3g %% of pairs the canary is above the baseline; last block: Kolmogorov-Smirnov distance %.3g, Mann-Whitney p %.3g (nothing is decided by these)\n",
		text, 100**g.ProbabilityIndex, *g.KS, *g.MannWhitneyP)
}

// estimateText is what the state stands on: of a failure or a suspicion the estimate since the harm began, and since when; else
// that since the start.
func estimateText(g *schemas.GuardrailStatus) string {
	if g.HarmBegan == 0 || g.State != schemas.StateFailed && g.State != schemas.StateSuspect {
		return quantity(g, g.Estimate, "unknown")
	}
	return quantity(g, g.SinceHarm, "unknown") + " since " + sinceText(g.HarmBegan, g.LastWindow)
}

// sinceText is the time of day in UTC, with the date when it isn't the day of now.
func sinceText(at, now schemas.Time) string {
	t, today := time.UnixMilli(int64(at)).UTC(), time.UnixMilli(int64(now)).UTC()
	if t.YearDay() == today.YearDay() && t.Year() == today.Year() {
		return t.Format("15:04:05")
	}
	return t.Format("2 Jan 15:04:05")
}

// marginText is a margin with its unit apart, or the limit.
func marginText(g *schemas.GuardrailStatus) string {
	text := g.Margin
	if at := strings.IndexFunc(text, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }); at > 0 {
		text = text[:at] + " " + text[at:]
	}
	if g.Against == schemas.AgainstLimit {
		return "limit " + text
	}
	return text
}

// quantity writes an estimate or a bound of a guardrail in its unit: against the baseline a signed difference, against a limit
// the canary's own level. nil is written as none.
func quantity(g *schemas.GuardrailStatus, x *float64, none string) string {
	switch {
	case x == nil:
		return none
	case g.Unit == "ratio":
		return atEnd(g, *x) + fmt.Sprintf("%+.1f %%", 100*(*x-1))
	case g.Unit == "share" && g.Against == schemas.AgainstLimit:
		return fmt.Sprintf("%.2f %%", 100**x)
	case g.Unit == "share":
		return fmt.Sprintf("%+.2f pp", 100**x)
	case g.Unit == "ms":
		return fmt.Sprintf("%.4g ms", *x)
	}
	return fmt.Sprintf("%.4g", *x)
}

// atEnd says of a distribution's effect that is at the end of what is looked at that it may be more.
func atEnd(g *schemas.GuardrailStatus, ratio float64) string {
	least, most := analysis.EffectRange()
	switch {
	case g.ProbabilityIndex == nil && len(g.Shape) == 0:
		return ""
	case ratio >= most:
		return ">= "
	case ratio <= least:
		return "<= "
	}
	return ""
}

func interval(g *schemas.GuardrailStatus) string {
	switch {
	case g.Lower != nil || g.Upper != nil:
	case g.Against == schemas.AgainstLimit && g.Unit == "number" && g.FirstWindow != 0: // of a mean, in a decision
		return "told while it is judged"
	default:
		return "unknown"
	}
	if schemas.Crossed(g.Lower, g.Upper) { // not g.Changed, which decisions of older programs don't have
		return changed(g)
	}
	return quantity(g, g.Lower, "-inf") + " .. " + quantity(g, g.Upper, "inf")
}

// changed is the interval of an effect that didn't stay the same. Bounds that crossed hold for different times: which one is the newer is known while there
// is harm, by the estimate since that began. Short, so that a row of the table has room on a wide terminal.
func changed(g *schemas.GuardrailStatus) string {
	lower, upper := quantity(g, g.Lower, ""), quantity(g, g.Upper, "")
	switch newest := g.SinceHarm; {
	case newest == nil:
		return "changed: once >= " + lower + ", once <= " + upper
	case *newest >= (*g.Lower+*g.Upper)/2:
		return "first <= " + upper + ", since then >= " + lower
	}
	return "first >= " + lower + ", since then <= " + upper
}

// nameText is a guardrail's name, with the segment that it is held to.
func nameText(g *schemas.GuardrailStatus) string {
	if g.Segment == "" {
		return g.Name
	}
	return g.Name + " in " + schemas.Readable(g.Segment)
}

func armText(g *schemas.GuardrailStatus, a *schemas.ArmCount) string {
	mean := a.Value != nil && (g.Unit == "number" || g.Unit == "ratio" && *a.Value != 0) // a rate without events is 0
	if a.Events == 0 && a.N > 0 && (mean || a.Value == nil) {                            // neither a mean nor a distribution has events
		return fmt.Sprint(a.N)
	}
	return fmt.Sprintf("%d of %d", a.Events, a.N)
}

// evidenceText is the fail evidence against its threshold, in nats; 100 % is proof.
func evidenceText(g *schemas.GuardrailStatus) string {
	if g.Threshold <= 0 || math.IsInf(g.Threshold, 0) {
		return fmt.Sprintf("%.1f", g.LogEvidence)
	}
	return fmt.Sprintf("%.1f of %.1f", g.LogEvidence, g.Threshold)
}

// routeText is e.g. "41 90.00 %, 42 10.00 %".
func routeText(routes []schemas.Route) string {
	var parts []string
	for _, r := range routes {
		parts = append(parts, fmt.Sprintf("%s %.2f %%", r.Version, float64(r.WeightBP)/100))
	}
	return strings.Join(parts, ", ")
}
