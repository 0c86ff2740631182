package analysis

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// displayAlpha is one minus the confidence of every interval that a person sees.
const displayAlpha = .05

// sentence says a verdict to the engineer on call.
func (j *Judge) sentence(c cause) string {
	switch {
	case c.guard != nil && c.action == VerdictHold:
		return j.guardSentence(c.guard) + " That stands for the epoch, whatever comes: a person must decide."
	case c.guard != nil:
		return j.guardSentence(c.guard)
	case c.check != nil:
		return c.check.finding().Sentence
	case c.code == codeWatched:
		return fmt.Sprintf("%s did no proven harm for the %s that it was watched against what stayed at %s, after %s of traffic.",
			capital(j.arm(windows.Canary)), durationText(j.stages.present().Watch.Milliseconds()), j.arm(windows.Baseline), durationText(j.nowMs-j.clock.startMs))
	case c.code == codeNoHarm:
		return fmt.Sprintf("No harm of %s is proven or suspected%s.", j.arm(windows.Canary), j.inStage())
	case c.action == VerdictPromote:
		return fmt.Sprintf("%s keeps every margin that it was held to against %s%s (%s), after %s of traffic.",
			capital(j.arm(windows.Canary)), j.arm(windows.Baseline), j.inStage(), j.names(schemas.StatePassed), durationText(j.nowMs-j.clock.startMs))
	case c.action == VerdictAdvance:
		return fmt.Sprintf("%s keeps every margin that it was held to against %s%s (%s), after %s of it: the next stage can begin.",
			capital(j.arm(windows.Canary)), j.arm(windows.Baseline), j.inStage(), j.names(schemas.StatePassed), durationText(j.stages.age(j.nowMs)))
	case c.code == codeInconclusive:
		whole := j.stages.present().Max.Milliseconds()
		then := "a person must decide"
		if c.action == VerdictRollback {
			then = "it is rolled back, as the rollout has it (then: rollback)"
		}
		if j.stages.starts[j.stages.now] >= j.stages.from()+whole {
			return fmt.Sprintf("%s were over on %s, and %s is compared with %s only since %s, which is too late: %s (`rollout retry` begins anew).", j.wholeText(durationText(whole)),
				timeText(j.stages.from()+whole, 0), j.arm(windows.Canary), j.arm(windows.Baseline), timeText(j.stages.starts[j.stages.now], j.nowMs), then)
		}
		plan := ""
		if j.plan.differs() {
			plan = " " + j.plan.sentence()
		}
		if j.users.reached() {
			plan += " " + j.users.sentence()
		}
		return fmt.Sprintf("%s were over on %s, and by then %s was neither proven worse than %s nor proven within the margins of %s: %s.%s",
			j.wholeText(durationText(whole)), timeText(j.stages.from()+whole, 0), j.arm(windows.Canary), j.arm(windows.Baseline), j.openNames(), then, plan)
	case c.open.suspect != nil:
		return j.suspectSentence(c.open)
	case c.open.baking && j.stages.present().Watch > 0:
		until := j.stages.starts[j.stages.now] + j.stages.present().Watch.Milliseconds()
		return fmt.Sprintf("%s is watched against what stayed at %s until %s.", capital(j.arm(windows.Canary)), j.arm(windows.Baseline), timeText(until, j.nowMs))
	case c.open.baking:
		until, away := j.stages.starts[j.stages.now]+j.stages.present().Bake.Milliseconds()+c.open.awayMs, ""
		if c.open.awayMs > 0 {
			away = fmt.Sprintf(", as its share was less than planned for %s of the time", durationText(c.open.awayMs))
		}
		return fmt.Sprintf("%s keeps every margin that it was held to against %s%s (%s); the stage goes on until %s%s.",
			capital(j.arm(windows.Canary)), j.arm(windows.Baseline), j.inStage(), j.names(schemas.StatePassed), timeText(until, j.nowMs), away)
	case c.open.coming:
		return j.comingText()
	}
	return fmt.Sprintf("Nothing is proven yet of %s against %s%s.", j.arm(windows.Canary), j.arm(windows.Baseline), j.inStage())
}

// suspectSentence says what is proven of a suspect guardrail (a contrast: limits are never suspect), what isn't, and what comes of it. It
// holds no number that moves, as it is said once.
func (j *Judge) suspectSentence(o open) string {
	g := o.suspect
	what := fmt.Sprintf("%s %s %s%s: that is proven, and it looks like more than the margin of %s, which isn't proven yet", capital(j.arm(windows.Canary)),
		g.harmText(), j.arm(windows.Baseline), g.whereText(), marginText(g.spec.Margin.Text))
	if g.provesAny() {
		what = fmt.Sprintf("%s %s %s%s: that is suspected, and isn't proven yet", capital(j.arm(windows.Canary)),
			g.harmText(), j.arm(windows.Baseline), g.whereText())
	}
	if j.rollout.Patience == schemas.Never {
		return what + ". By itself that changes nothing (patience: never): a person should look."
	}
	then := map[schemas.On]string{schemas.OnRollback: "it is rolled back", schemas.OnHold: "the rollout is held", schemas.OnWarn: "that is a warning, and nothing more"}[g.spec.On]
	patience := j.rollout.Patience.Milliseconds()
	return fmt.Sprintf("%s. If it stays so until %s (%s without a break), %s.", what, timeText(o.sinceMs+patience, j.nowMs), durationText(patience), then)
}

func (j *Judge) sentenceNotBegun() string {
	return fmt.Sprintf("There is no window yet in which both canary %s and baseline %s answered.",
		j.rollout.CanaryWhere.Of(j.rollout.Canary), j.rollout.BaselineWhere.Of(j.rollout.Baseline))
}

// arm names an arm and its version.
func (j *Judge) arm(a windows.Arm) string {
	if a == windows.Canary {
		return "canary " + j.rollout.Canary
	}
	return "baseline " + j.rollout.Baseline
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// names lists the guardrails in a state.
func (j *Judge) names(state schemas.State) string {
	return j.list(func(g *guard) bool { return g.state == state })
}

// openNames lists the guardrails that the stage's end still needs.
func (j *Judge) openNames() string {
	return j.list(func(g *guard) bool { return j.mustPass(g, j.stages.present()) && g.state != schemas.StatePassed })
}

func (j *Judge) list(holds func(*guard) bool) string {
	var names []string
	for _, g := range j.all {
		if holds(g) {
			names = append(names, g.name())
		}
	}
	return listText(names)
}

func listText(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// guardSentence says why a guardrail failed, in numbers that a person can use: both arms' values since the harm began,
// the difference, what it is at least, and the margin.
func (j *Judge) guardSentence(g *guard) string {
	shown := j.figures(g)
	e, at := shown.estimate, timeText(shown.sinceMs, j.nowMs)
	if shown.atMs != j.nowMs {
		at += ", as of " + timeText(shown.atMs, j.nowMs)
	}
	if known := e[windows.Canary].value; !g.isContrast() && math.IsInf(known, 0) && g.ofPart { // only its side of the limit is
		return fmt.Sprintf("%s %s%s: since %s %s are beyond it; the limit is %s%s.", capital(j.arm(windows.Canary)), g.limitText(), g.whereText(), at,
			g.countText(e[windows.Canary]), marginText(g.spec.Margin.Text), j.also(g))
	}
	if !g.isContrast() {
		return fmt.Sprintf("%s %s%s: %s since %s (%s), where the limit is %s; %s has %s%s.",
			capital(j.arm(windows.Canary)), g.limitText(), g.whereText(), g.valueText(e[windows.Canary].value), at, g.countText(e[windows.Canary]),
			marginText(g.spec.Margin.Text), j.arm(windows.Baseline), g.valueText(e[windows.Baseline].value), j.also(g))
	}
	values := fmt.Sprintf(": %s against %s since %s", g.valueText(e[windows.Canary].value), g.valueText(e[windows.Baseline].value), at)
	if g.apart() {
		values = " since " + at
	}
	margin := "margin " + marginText(g.spec.Margin.Text)
	if g.spec.Margin.Value == 0 {
		margin = "no margin"
	}
	patience := ""
	if g.patienceOut {
		patience = fmt.Sprintf(", beyond it without a break for %s", durationText(j.rollout.Patience.Milliseconds()))
	}
	return fmt.Sprintf("%s %s %s%s%s (%s%s%s)%s.", capital(j.arm(windows.Canary)), g.harmText(), j.arm(windows.Baseline), g.whereText(), values,
		g.sizeText(e, g.boundText(shown.sinceMs, j.nowMs)), margin, patience, j.also(g))
}

// sizeText is the effect and its bound, as far as they are known, with a semicolon after them.
func (g *guard) sizeText(e estimate, bound string) string {
	text := g.effectText(e)
	if text != "" && bound != "" {
		text += ", "
	}
	text += bound
	if text != "" {
		text += "; "
	}
	return text
}

// whereText says in which segment.
func (g *guard) whereText() string {
	switch g.segment {
	case "":
		return ""
	case otherSegment:
		return " in all other segments"
	}
	return " in segment " + schemas.Readable(g.segment)
}

// also names the segments that are harmed, and the other guardrails that failed the same way.
func (j *Judge) also(g *guard) string {
	if harmed := g.harmed(); len(harmed) > 0 {
		for i := range harmed {
			harmed[i] = schemas.Readable(harmed[i])
		}
		return "; harmed: " + strings.Join(harmed, ", ") + j.alsoFailed(g)
	}
	return j.alsoFailed(g)
}

func (j *Judge) alsoFailed(g *guard) string {
	others := j.list(func(o *guard) bool { return o != g && o.spec.On == g.spec.On && o.state == schemas.StateFailed })
	if others == "none" {
		return ""
	}
	return "; also failed: " + others
}

// harmText is what the canary does worse, up to the baseline's name.
func (g *guard) harmText() string {
	s := g.spec
	more := map[schemas.Direction]string{schemas.Increase: "more", schemas.Decrease: "fewer"}[s.Direction]
	higher := map[schemas.Direction]string{schemas.Increase: "higher", schemas.Decrease: "lower"}[s.Direction]
	switch {
	case s.Kind == schemas.GaugeGuardrail:
		return fmt.Sprintf("has %s %s samples above %s than", more, s.Of, numberText(s.Limit))
	case s.Kind == schemas.QuantileGuardrail && s.Of == ofLatency && s.Direction == schemas.Increase:
		return fmt.Sprintf("is slower (%s) than", quantileName(s.Quantile))
	case s.Kind == schemas.QuantileGuardrail && s.Of == ofLatency:
		return fmt.Sprintf("is faster (%s) than", quantileName(s.Quantile))
	case s.Kind == schemas.QuantileGuardrail && s.Direction == schemas.Increase:
		return fmt.Sprintf("has a higher %s of %s than", quantileName(s.Quantile), s.Of)
	case s.Kind == schemas.QuantileGuardrail:
		return fmt.Sprintf("has a lower %s of %s than", quantileName(s.Quantile), s.Of)
	case s.Kind == schemas.DistributionGuardrail:
		return g.shapeText()
	case s.Kind == schemas.MeanGuardrail && s.From == schemas.KindOutcome:
		return fmt.Sprintf("brings %s %s per prediction than", map[schemas.Direction]string{schemas.Increase: "more", schemas.Decrease: "less"}[s.Direction], s.Of)
	case s.Kind == schemas.MeanGuardrail:
		return fmt.Sprintf("has a %s mean of %s than", higher, s.Of)
	case s.Of == "error":
		return fmt.Sprintf("answers with %s errors than", more)
	case s.Of == "timeout":
		return fmt.Sprintf("has %s timeouts than", more)
	case s.Of == "cache_miss":
		return fmt.Sprintf("has %s cache misses than", more)
	}
	return fmt.Sprintf("has a %s %s rate than", higher, s.Of)
}

// shapeText is how the canary's distribution differs, up to the baseline's name: of a test by quantiles with the one that shows it most.
func (g *guard) shapeText() string {
	s, where, tail, e := g.spec, "as a whole", g.tail(), estimate{}
	if since, ok := g.began(); ok {
		e = g.estimate(since)
	}
	if g.shown != nil {
		tail, e = g.shown.tail, g.shown.estimate
	}
	if len(g.more) > 0 {
		where = quantileName(tail)
	}
	up := s.Direction == schemas.Increase || s.Direction == schemas.Both && !(e[windows.Canary].value < e[windows.Baseline].value)
	switch {
	case s.Of == ofLatency && up:
		return fmt.Sprintf("is slower (%s) than", where)
	case s.Of == ofLatency:
		return fmt.Sprintf("is faster (%s) than", where)
	case up:
		return fmt.Sprintf("has higher values of %s (%s) than", s.Of, where)
	}
	return fmt.Sprintf("has lower values of %s (%s) than", s.Of, where)
}

// limitText is what the canary does that a fixed limit forbids.
func (g *guard) limitText() string {
	s := g.spec
	many := map[schemas.Direction]string{schemas.Above: "too many", schemas.Below: "too few"}[s.Direction]
	high := map[schemas.Direction]string{schemas.Above: "too high", schemas.Below: "too low"}[s.Direction]
	switch {
	case s.Kind == schemas.GaugeGuardrail:
		return fmt.Sprintf("has %s %s samples above %s", many, s.Of, numberText(s.Limit))
	case s.Kind == schemas.QuantileGuardrail && s.Of == ofLatency && s.Direction == schemas.Above:
		return fmt.Sprintf("is too slow (%s)", quantileName(s.Quantile))
	case s.Kind == schemas.QuantileGuardrail:
		return fmt.Sprintf("has %s a %s of %s", high, quantileName(s.Quantile), s.Of)
	case s.Kind == schemas.MeanGuardrail:
		return fmt.Sprintf("has %s a mean of %s", high, s.Of)
	case s.Of == "error":
		return fmt.Sprintf("answers with %s errors", many)
	case s.Of == "timeout":
		return fmt.Sprintf("has %s timeouts", many)
	case s.Of == "cache_miss":
		return fmt.Sprintf("has %s cache misses", many)
	}
	return fmt.Sprintf("has %s a %s rate", high, s.Of)
}

// valueText is a share, a quantile or a mean.
func (g *guard) valueText(x float64) string {
	switch {
	case g.spec.Kind == schemas.RateGuardrail, g.spec.Kind == schemas.GaugeGuardrail:
		return percentText(x)
	case g.spec.Kind == schemas.QuantileGuardrail && g.spec.Of == ofLatency:
		return latencyText(x)
	case math.IsNaN(x):
		return "unknown"
	}
	return numberText(x)
}

// differenceText is a difference in the guardrail's unit, with its sign; empty when it is unknown.
func (g *guard) differenceText(x float64) string {
	switch {
	case g.unit() == unitShare:
		return pointsText(x)
	case math.IsNaN(x) || math.IsInf(x, 0):
		return ""
	case x < 0:
		return "-" + numberText(-x)
	}
	return "+" + numberText(x)
}

func (g *guard) countText(t armTally) string {
	if g.spec.Kind == schemas.MeanGuardrail {
		return countText(t.n) + " values"
	}
	return fmt.Sprintf("%s of %s", countText(t.events), countText(t.n))
}

// effectText is the difference of two shares or means, or the ratio of two quantiles.
func (g *guard) effectText(e estimate) string {
	c, b := e[windows.Canary].value, e[windows.Baseline].value
	if g.unit() == unitRatio && (b > 0 || measuresValues(g.spec)) {
		return ratioText(c/b) + g.endText(c/b)
	}
	return g.differenceText(c - b)
}

// endText says of a distribution's effect that is at the end of what is looked at that it may be more.
func (g *guard) endText(ratio float64) string {
	least, most := EffectRange()
	switch {
	case !g.apart():
	case ratio >= most:
		return " or more"
	case ratio <= least:
		return " or less"
	}
	return ""
}

// boundText is what the effect is at least, with 95 % confidence at all times at once; empty while that is within the margin, since beside a
// failure it would read as an objection. The bound is of the whole epoch, which is said where the harm began later.
func (g *guard) boundText(since, nowMs int64) string {
	difference, ratio := g.canary.account.intervals(displayAlpha)
	up := g.spec.Direction == schemas.Increase
	relative := g.unit() == unitRatio
	bound, margin := "", g.spec.Margin.Value
	if b := g.estimate(0)[windows.Baseline].value; relative && b < 0 {
		relative, margin = false, -b*margin
	}
	switch {
	case relative && up && ratio.lower > 1+margin:
		bound = "at least " + ratioText(ratio.lower)
	case relative && !up && ratio.upper < 1-margin:
		bound = "at most " + ratioText(ratio.upper)
	case !relative && up && difference.lower > margin:
		bound = "at least " + g.differenceText(difference.lower)
	case !relative && !up && difference.upper < -margin:
		bound = "at least " + g.differenceText(difference.upper)
	}
	switch {
	case bound == "" || since <= g.canary.firstMs:
		return bound
	case g.spec.Kind == schemas.QuantileGuardrail: // its bound is no average: not all blocks are below it
		return bound + " at times"
	}
	return bound + " on average since " + timeText(g.canary.firstMs, nowMs)
}

// marginText sets a margin's unit apart: "0.5 pp" of "0.5pp".
func marginText(margin string) string {
	at := strings.IndexFunc(margin, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if at <= 0 {
		return margin
	}
	return margin[:at] + " " + margin[at:]
}

// percentText is a share of 1 in percent: two digits that count below 10 %, three above.
func percentText(share float64) string {
	if math.IsNaN(share) {
		return "unknown"
	}
	return digits(100*share) + " %"
}

// pointsText is a difference of shares in percentage points, with its sign; empty when it is unknown.
func pointsText(difference float64) string {
	if math.IsNaN(difference) {
		return ""
	}
	return signed(100*difference) + " pp"
}

func signed(x float64) string {
	if x < 0 {
		return "-" + digits(-x)
	}
	return "+" + digits(x)
}

// digits rounds to two digits below 10, else to three.
func digits(x float64) string {
	precision := 2
	if math.Abs(x) >= 10 {
		precision = 3
	}
	return strconv.FormatFloat(rounded(x, precision), 'f', -1, 64)
}

// rounded keeps the given number of significant digits.
func rounded(x float64, precision int) float64 {
	r, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'g', precision, 64), 64)
	return r
}

// ratioText is a factor; empty when it is unknown.
func ratioText(r float64) string {
	if math.IsNaN(r) || math.IsInf(r, 0) {
		return ""
	}
	return "x" + strconv.FormatFloat(rounded(r, 3), 'f', -1, 64)
}

// latencyText is milliseconds in a unit that reads well; the top bucket's edge is no number.
func latencyText(ms float64) string {
	switch {
	case math.IsNaN(ms):
		return "unknown"
	case math.IsInf(ms, 1):
		return "no answer"
	case ms >= 1000:
		return strconv.FormatFloat(rounded(ms/1000, 3), 'f', -1, 64) + " s"
	}
	return strconv.FormatFloat(rounded(ms, 3), 'f', -1, 64) + " ms"
}

func numberText(x float64) string { return strconv.FormatFloat(rounded(x, 4), 'f', -1, 64) }

// countText groups thousands.
func countText(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// timeText is the time of day in UTC, with the date when it isn't the day of now.
func timeText(ms, nowMs int64) string {
	t, now := time.UnixMilli(ms).UTC(), time.UnixMilli(nowMs).UTC()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04:05")
	}
	return t.Format("2 Jan 15:04:05")
}

// durationText drops what is zero: "24h", "5m", "1m30s".
func durationText(ms int64) string {
	s := (time.Duration(ms) * time.Millisecond).Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// quantileName is p99 for 0.99.
func quantileName(q float64) string {
	return "p" + strconv.FormatFloat(math.Round(q*1e8)/1e6, 'f', -1, 64)
}
