package compare

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"

	"streamcanary/analysis"
	"streamcanary/schemas"
)

// headlines are the verdicts in one word.
var headlines = map[schemas.State]string{
	schemas.StateFailed: "FAILED", schemas.StatePassed: "PASSED", schemas.StateSuspect: "SUSPECT",
	schemas.StateContinue: "UNDECIDED", schemas.StateInsufficient: "TOO LITTLE DATA",
}

// sentence is the verdict for a person: what, by how much, since when.
func (s *Summary) sentence() string {
	if s.Compare == SRM {
		return s.splitSentence()
	}
	subject, margin := s.subject(), s.marginText()
	switch s.Verdict {
	case schemas.StateFailed:
		text := fmt.Sprintf("%s %s than the baseline's%s.", subject, s.worse(), by(margin))
		if s.spec.Prove == schemas.ProveAny && margin != "" {
			text = fmt.Sprintf("%s %s than the baseline's, and by more than %s as far as can be seen.", subject, s.worse(), margin)
		}
		return text + s.sinceText()
	case schemas.StateSuspect:
		return fmt.Sprintf("%s %s than the baseline's, and by more than %s as far as can be seen, which is not proven yet.", subject, s.worse(), margin) + s.sinceText()
	case schemas.StatePassed:
		if s.Compare == MannWhitney { // few values, however far off, don't change who tends to be higher
			return fmt.Sprintf("The canary's values don't tend to be %s than the baseline's%s. That is of their bulk: the tail is not looked at.", s.worse(), by(margin))
		}
		return fmt.Sprintf("%s not %s than the baseline's%s.", subject, s.worse(), by(margin))
	case schemas.StateInsufficient:
		text := "Too little was counted to test anything: windows that are taken together need 8 of each arm, and for a tail 4 expected values." + s.togetherText()
		if s.Measured && (s.spec.ranked() && s.Phi > 0 || s.Compare == Mean && s.clumped) {
			text += "\n  Units have several rows, and the first windows of these tell the noise alone: give more windows, or leave out the column unit and say with --phi how noisy it is."
		}
		return text
	}
	text := "Nothing is proven of the canary's " + s.what()
	switch {
	case s.Lower == nil && s.Upper == nil:
		return text + "."
	case schemas.Crossed(s.Lower, s.Upper):
		return text + ", which changed against the baseline's."
	}
	if s.Granularity > 0 && s.Margin != anyMargin {
		return fmt.Sprintf("%s before its values were rounded: as the file has them, it may be anywhere from %s to %s against the baseline's.", text, s.quantity(s.Lower, "-inf"), s.quantity(s.Upper, "inf"))
	}
	return fmt.Sprintf("%s: against the baseline's it may be anywhere from %s to %s.", text, s.quantity(s.Lower, "-inf"), s.quantity(s.Upper, "inf"))
}

// togetherText says of how many windows both arms are, unless it is of all.
func (s *Summary) togetherText() string {
	switch both := s.Read.Both; both {
	case s.Windows:
		return ""
	case 0:
		return "\n  No window has both arms: only what both had at the same time can be compared, so give rows of both in the same windows."
	default:
		return fmt.Sprintf("\n  Both arms are in %s of %s windows.", grouped(both), grouped(s.Windows))
	}
}

// bounds is the interval of the estimate.
func (s *Summary) bounds() string {
	lower, upper := s.quantity(s.Lower, "-inf"), s.quantity(s.Upper, "inf")
	switch newest := s.SinceHarm; {
	case s.Lower == nil && s.Upper == nil:
		return ""
	case !schemas.Crossed(s.Lower, s.Upper):
		return fmt.Sprintf(", 95 %% interval %s .. %s", lower, upper)
	case newest == nil:
		return fmt.Sprintf(" over all, but it changed: at one time %s or more, at another %s or less (95 %%)", lower, upper)
	case *newest >= (*s.Lower+*s.Upper)/2:
		return fmt.Sprintf(" over all, but it changed: at first %s or less, since then %s or more (95 %%)", upper, lower)
	}
	return fmt.Sprintf(" over all, but it changed: at first %s or more, since then %s or less (95 %%)", lower, upper)
}

// subject begins a sentence about the canary.
func (s *Summary) subject() string {
	if s.Compare == MannWhitney && s.spec.Direction != schemas.Both { // of pairs of values it is, not of each
		return "The canary's values tend to be"
	}
	if s.spec.distribution() {
		return "The canary's values are"
	}
	return "The canary's " + s.what() + " is"
}

func by(margin string) string {
	if margin == "" {
		return ""
	}
	return " by more than " + margin
}

// sinceText is the estimate since the harm began.
func (s *Summary) sinceText() string {
	since := s.since()
	switch {
	case s.HarmBegan == "":
		return ""
	case s.SinceHarm == nil:
		return fmt.Sprintf(" It is so %s.", strings.ToLower(since[:1])+since[1:])
	case s.Compare == KS:
		return fmt.Sprintf(" %s the difference %s is %s.", since, s.effectName(), s.effect(s.SinceHarm, ""))
	case s.Compare == MannWhitney:
		return fmt.Sprintf(" %s they are shifted by %s.", since, s.effect(s.SinceHarm, ""))
	}
	return fmt.Sprintf(" %s it is %s.", since, s.quantity(s.SinceHarm, ""))
}

// since says from which window on.
func (s *Summary) since() string {
	if s.numbered {
		return "Since window " + s.HarmBegan
	}
	return "Since " + s.HarmBegan
}

func (s *Summary) what() string {
	switch {
	case s.spec.distribution():
		return "distribution"
	case s.Compare == Quantile:
		return quantileName(s.spec.Quantile)
	}
	return string(s.Compare)
}

func (s *Summary) worse() string {
	switch s.spec.Direction {
	case schemas.Decrease:
		return "lower"
	case schemas.Both:
		return "distributed otherwise"
	}
	return "higher"
}

// marginText sets a margin's unit apart; empty for any.
func (s *Summary) marginText() string {
	m := s.Margin
	if m == anyMargin {
		return ""
	}
	if s.Unit == unitPerOne {
		return m + " per unit of exposure"
	}
	at := strings.IndexFunc(m, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if at <= 0 {
		return m
	}
	return m[:at] + " " + m[at:]
}

func (s *Summary) splitSentence() string {
	if s.Estimate == nil {
		return "No unit was counted."
	}
	seen, since := percent(*s.Estimate), ""
	if s.HarmBegan != "" && s.SinceHarm != nil {
		since = fmt.Sprintf(", %s %s", percent(*s.SinceHarm), strings.ToLower(s.since()[:1])+s.since()[1:])
	}
	plan := "the planned " + percent(s.Planned)
	if s.Reference != nil {
		plan = "what it was at first, " + s.Reference.text()
	}
	switch {
	case s.Verdict == schemas.StateFailed && s.Reference == nil:
		return fmt.Sprintf("Units are not split as planned: the canary has %s instead of %s%s.%s", seen, plan, since, unlikeUsers)
	case s.Verdict == schemas.StateFailed && s.Reference.Moved:
		return fmt.Sprintf("Units are not split as they were at first: the canary has %s over all%s.\n  It moved within the windows that are to tell what it is at first.%s", seen, since, unlikeUsers)
	case s.Verdict == schemas.StateFailed:
		return fmt.Sprintf("Units are not split as they were at first: the canary has %s over all%s.\n  At first it had %s.%s", seen, since, s.Reference.text(), unlikeUsers)
	case s.Verdict == schemas.StateInsufficient:
		return fmt.Sprintf("Too few units to know what the canary's share was at first: %d of each arm are needed, or %d windows. Give the plan, with --share, and all are tested.",
			referenceUnits, referenceWindows)
	}
	return fmt.Sprintf("Nothing speaks against the split: the canary has %s of the units, and nothing proves that its share isn't %s.", seen, plan)
}

const unlikeUsers = "\n  The arms may hold unlike users, so no other comparison of them can be trusted."

// text is the share in which windows.
func (f *Reference) text() string {
	if f.Windows == 1 {
		return fmt.Sprintf("%s in window %s", percent(*f.Share), f.From)
	}
	return fmt.Sprintf("%s in %d windows, from %s to %s", percent(*f.Share), f.Windows, f.From, f.To)
}

// note is what must be known of the period.
func (f *Reference) note() (text string) {
	if f.Open {
		text = " so far"
	}
	if f.Moved {
		text += ", and it moved within them"
	}
	return text
}

// Write prints the answer for a person.
func (s *Summary) Write(w io.Writer) error {
	head := headlines[s.Verdict]
	if s.Decided != "" {
		head += fmt.Sprintf(" at window %s (%s of %s)", s.Decided, grouped(s.DecidedAt), grouped(s.Windows))
	} else {
		head += fmt.Sprintf(" after %s %s", grouped(s.Windows), plural(s.Windows, "window"))
	}
	fmt.Fprintf(w, "%s\n  %s\n\n", head, s.Sentence)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	s.writeArms(t)
	if err := t.Flush(); err != nil {
		return err
	}
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	s.writeEvidence(t)
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", s.promise())
	return err
}

func (s *Summary) writeArms(w io.Writer) {
	heads := map[Kind]string{
		Rate: "\tn\tevents\trate", Quantile: "\tsamples\tbeyond\t" + s.what(), Mean: "\tvalues\tmean",
		KS: "\tsamples", MannWhitney: "\tsamples", SRM: "\tunits",
	}
	if s.spec.exposure {
		heads[Rate] = "\texposure\tevents\tper exposure"
	}
	untested := s.Verdict == schemas.StateInsufficient && s.Read != nil
	fmt.Fprint(w, heads[s.Compare])
	if untested {
		fmt.Fprint(w, "\tread")
	}
	fmt.Fprintln(w)
	for i, arm := range []struct {
		name string
		Arm
	}{{s.spec.Baseline, s.Baseline}, {s.spec.Canary, s.Canary}} {
		fmt.Fprintf(w, "%s\t%s", arm.name, amount(arm.N))
		if s.Compare == Rate || s.Compare == Quantile {
			fmt.Fprintf(w, "\t%s", grouped(arm.Events))
		}
		if s.Compare != SRM && !s.spec.distribution() {
			fmt.Fprintf(w, "\t%s", s.level(arm.Value))
		}
		if untested {
			fmt.Fprintf(w, "\t%s", s.readText([]Arm{s.Read.Baseline, s.Read.Canary}[i]))
		}
		fmt.Fprintln(w)
	}
}

// readText is what the file has of an arm, tested or not.
func (s *Summary) readText(a Arm) string {
	if s.Compare != Rate {
		return amount(a.N)
	}
	return fmt.Sprintf("%s with %s %s", amount(a.N), grouped(a.Events), plural(a.Events, "event"))
}

func (s *Summary) writeEvidence(w io.Writer) {
	fmt.Fprintf(w, "%s\t%s%s\n", s.effectName(), s.effect(s.Estimate, "unknown"), s.bounds())
	if s.Ratio != nil && s.Ratio.Estimate != nil {
		text := ", 95 %% interval %s .. %s"
		if s.Ratio.Changed {
			text = " over all, but it changed: at times %s or more, at times %s or less (95 %%)"
		}
		fmt.Fprintf(w, "ratio\t%s"+text+"\n", factor(s.Ratio.Estimate, "unknown"), factor(s.Ratio.Lower, "x0"), factor(s.Ratio.Upper, "inf"))
	}
	if d := s.Difference; d != nil && d.Estimate != nil {
		absolute := Summary{Result: Result{Unit: unitShare, Estimate: d.Estimate, Lower: d.Lower, Upper: d.Upper}}
		if s.spec.exposure {
			absolute.Unit = unitPerOne
		}
		fmt.Fprintf(w, "absolute\t%s%s\n", absolute.quantity(d.Estimate, "unknown"), absolute.bounds())
	}
	switch s.Compare {
	case SRM:
		if f := s.Reference; f != nil {
			fmt.Fprintf(w, "at first\t%s (%s %s%s)\n", f.text(), amount(f.N), plural(int64(f.N), "unit"), f.note())
		}
		fmt.Fprintf(w, "evidence\tof another split %.1f of the %.1f that prove it\n", s.LogEvidence, s.Threshold)
		return
	}
	harm := "of harm"
	if s.Margin != anyMargin {
		harm += " beyond the margin"
	}
	if s.spec.Prove == schemas.ProveAny {
		harm = "of any harm"
	}
	fmt.Fprintf(w, "evidence\t%s %.1f of the %.1f that prove it\n", harm, s.LogEvidence, s.Threshold)
	if s.Margin != anyMargin {
		fmt.Fprintf(w, "\tof keeping the margin %.1f of %.1f\n", s.LogPass, s.ThresholdPass)
	}
	s.writeShape(w)
	s.writeNoise(w)
	for _, note := range s.notes() {
		fmt.Fprintf(w, "note\t%s\n", note)
	}
}

// writeNoise tells the over-dispersion that evidence is held to, where it is a factor.
func (s *Summary) writeNoise(w io.Writer) {
	var than string
	switch {
	case s.Compare == Rate:
		than = "independent events"
	case s.Compare == Mean && !s.spec.Gauge && s.Phi > 0:
		than = "independent values"
	case s.noisy():
		than = "rows that go to the arms one by one"
	default:
		return
	}
	how := "assumed; a column unit would let it be measured"
	if s.Measured {
		how = "by the baseline's units"
	}
	fmt.Fprintf(w, "noise\t%.3g times that of %s (%s)\n", s.Phi, than, how)
}

// noisy reports whether samples are reckoned with as those of units, and not each by itself.
func (s *Summary) noisy() bool { return s.spec.ranked() && s.Phi > 0 && (s.Measured || s.Phi > 1) }

// writeShape tells where in a distribution the harm is, and how users of other tools know its last block: nothing is decided by that.
func (s *Summary) writeShape(w io.Writer) {
	var parts []string
	for _, q := range s.Shape {
		parts = append(parts, fmt.Sprintf("%s %.1f", quantileName(q.Quantile), q.LogEvidence))
	}
	if len(parts) > 0 {
		fmt.Fprintf(w, "\tof any difference by quantile: %s\n", strings.Join(parts, ", "))
	}
	if s.ProbabilityIndex != nil {
		fmt.Fprintf(w, "index\ta sample of the canary is above one of the baseline in %s of pairs\n", percent(*s.ProbabilityIndex))
	}
	if s.KSDistance != nil && s.MannWhitneyP != nil {
		fmt.Fprintf(w, "last block\tKolmogorov-Smirnov distance %.3g, Mann-Whitney p %.3g (nothing is decided by these)\n", *s.KSDistance, *s.MannWhitneyP)
	}
}

// effectName says what the estimate is.
func (s *Summary) effectName() string {
	switch {
	case s.Compare == SRM:
		return "share"
	case s.Compare == MannWhitney:
		return "shift" // Hodges-Lehmann's
	case s.Compare == KS && s.AtQuantile > 0:
		return "at " + quantileName(s.AtQuantile)
	}
	return "difference"
}

// quantileName is p99 for 0.99.
func quantileName(q float64) string {
	return "p" + strconv.FormatFloat(math.Round(q*1e8)/1e6, 'f', -1, 64)
}

// notes are what the reader must know of the file.
func (s *Summary) notes() []string {
	var notes []string
	if s.Compare == Mean && (s.Lower != nil || s.Upper != nil) {
		notes = append(notes, "the interval is of the windows behind the first ones, which tell the noise; the estimate is of all that were tested")
	}
	if s.Calibration != "" {
		notes = append(notes, "the baseline differs from itself, between its units, by more than noise explains: nothing new is proven while it does")
	}
	if s.spec.Granularity > 0 && s.Margin != anyMargin {
		notes = append(notes, fmt.Sprintf("values are taken to be rounded to %s: evidence is of what they were before, as far as that is known; the other numbers are of what the file has", strconv.FormatFloat(s.spec.Granularity, 'g', -1, 64)))
	}
	if s.NoPass != "" {
		notes = append(notes, s.NoPass)
	}
	if s.tooSmall() {
		notes = append(notes, "the interval, which fits effects of any size, leaves out that nothing changed; the verdict looks for effects of 5 % and more. Where smaller ones matter, give --effects engagement from the beginning")
	}
	if s.bluntly() {
		notes = append(notes, "the baseline's rate is above 10 %, and no rows before the canary's first tell it: where it is known from before, --baseline-rate RATE takes a sharper test")
	}
	if s.RoundedTo > 0 {
		notes = append(notes, fmt.Sprintf("all values are multiples of %g, and rounding alone can make much of a margin of %s: where they were rounded to that, give --granularity %g, or %g of values that were cut off",
			s.RoundedTo, s.marginText(), s.RoundedTo, 2*s.RoundedTo))
	}
	if s.OtherRows > 0 {
		notes = append(notes, fmt.Sprintf("%s %s of other versions left out", grouped(s.OtherRows), plural(s.OtherRows, "row")))
	}
	if s.OneArmed > 0 {
		notes = append(notes, fmt.Sprintf("%s %s left out: an arm had no exposure", grouped(s.OneArmed), plural(s.OneArmed, "window")))
	}
	if s.beyondCap {
		notes = append(notes, "values are held within the cap, and no mean of them can be as far from the baseline's as the margin: nothing can be proven; take a higher --cap or a smaller margin")
	}
	if s.Capped > 0 {
		notes = append(notes, fmt.Sprintf("%.0f %% of an arm's samples are at the cap of %s or beyond: what lies there isn't told apart, so a mean that is within its margin says little; take a higher --cap", math.Floor(100*s.Capped), strconv.FormatFloat(s.spec.Cap, 'g', -1, 64)))
	}
	if s.ShareChanges > 0 {
		more := ""
		if s.ShareChanges > 1 {
			more = fmt.Sprintf(" and %d more", s.ShareChanges-1)
		}
		notes = append(notes, fmt.Sprintf("the canary's share changed with window %s%s: if that was in the midst of a window, leave its rows out, since within one window the split must stay", s.ShareChanged, more))
	}
	if len(s.Unused) > 0 {
		notes = append(notes, "not looked at: "+strings.Join(s.Unused, ", "))
	}
	return notes
}

// tooSmall reports whether the interval shows harm that the verdict doesn't bet on.
func (s *Summary) tooSmall() bool {
	if s.Compare != Rate || s.spec.effects() != Incident || s.Margin != anyMargin || s.Verdict == schemas.StateFailed || s.Lower == nil || s.Upper == nil || schemas.Crossed(s.Lower, s.Upper) {
		return false
	}
	if s.spec.Direction == schemas.Decrease {
		return *s.Upper < 0
	}
	return *s.Lower > 0
}

// bluntly reports whether a rate so high that its variance is far less than that of rare events was tested without being known beforehand.
func (s *Summary) bluntly() bool {
	return s.Compare == Rate && !s.spec.exposure && s.spec.BaselineRate == 0 && s.Read.Baseline.N-s.Baseline.N < 100 && s.Baseline.N >= 100 && float64(s.Baseline.Events) > s.Baseline.N/10
}

// promise says what the answer is worth, and on what condition.
func (s *Summary) promise() string {
	condition := "if units go to the arms at random within a window"
	alpha := percent(s.spec.Alpha)
	switch s.Compare {
	case SRM:
		return fmt.Sprintf("Valid at every look: while units are split by that share, FAILED is ever said with a chance of at most %s,\nif each unit is counted once.", alpha)
	case Rate:
		condition += ", and are no noisier than that"
	case Quantile, KS, MannWhitney:
		condition = "if each row goes to an arm at random by itself, within a window: of a user whose values are alike, take one a window, or give the column unit"
		if s.noisy() {
			condition = "if units go to the arms at random, and are no noisier than that"
		}
	case Mean:
		condition += ", and values are independent of each other;\nthe interval is calibrated on how the values vary, and not exact"
		if s.Measured || s.spec.rowsPhi > 1 {
			condition = "if units go to the arms at random within a window, and are no noisier than that;\nthe interval is calibrated on how the values vary, and not exact"
		}
		if s.spec.Gauge {
			condition = "as calibrated on the baseline's units, not exactly"
		}
	}
	within := "a canary within its margin"
	if s.Margin == anyMargin || s.spec.Prove == schemas.ProveAny {
		within = "a canary that does no harm"
	}
	return fmt.Sprintf("Valid at every look: of %s, FAILED is ever said with a chance of at most %s,\n%s.", within, alpha, condition)
}

// quantity is an estimate or a bound.
func (s *Summary) quantity(x *float64, none string) string {
	switch {
	case x == nil:
		return none
	case s.Compare == SRM:
		return percent(*x)
	case s.Unit == unitRatio:
		return fmt.Sprintf("%+.3g %%", math.Round(1e8*(*x-1))/1e6) // values are counted to seven digits
	case s.Unit == unitShare:
		return fmt.Sprintf("%+.3g pp", 100**x)
	}
	return fmt.Sprintf("%+.3g", *x)
}

// effect is an estimate; a distribution's at the end of what is looked at may be more.
func (s *Summary) effect(x *float64, none string) string {
	text := s.quantity(x, none)
	if x == nil || !s.spec.distribution() || s.Unit != unitRatio {
		return text
	}
	switch least, most := analysis.EffectRange(); {
	case *x >= most:
		return text + " or more"
	case *x <= least:
		return text + " or less"
	}
	return text
}

// level is an arm's own value.
func (s *Summary) level(x *float64) string {
	switch {
	case x == nil:
		return "unknown"
	case s.Compare == Rate && !s.spec.exposure:
		return percent(*x)
	}
	return strconv.FormatFloat(rounded(*x), 'f', -1, 64)
}

func percent(x float64) string { return strconv.FormatFloat(rounded(100*x), 'f', -1, 64) + " %" }

func factor(x *float64, none string) string {
	if x == nil {
		return none
	}
	return "x" + strconv.FormatFloat(rounded(*x), 'f', -1, 64)
}

// rounded keeps three significant digits.
func rounded(x float64) float64 {
	r, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 3, 64), 64)
	return r
}

// amount is an exposure: whole, or with three digits that count.
func amount(x float64) string {
	if x >= 100 || x == math.Trunc(x) {
		return grouped(int64(math.Round(x)))
	}
	return strconv.FormatFloat(rounded(x), 'f', -1, 64)
}

// plural is a word with an s, unless there is one.
func plural(n int64, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// grouped sets thousands apart.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
