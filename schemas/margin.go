package schemas

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// marginUnits are the ways in which a margin may be written; which ones are allowed depends on the guardrail.
type marginUnits uint8

const (
	unitFactor marginUnits = 1 << iota // 20%: of the baseline's value
	unitPoints                         // 0.5pp: difference of two shares
	unitShare                          // 5%: a share itself
	unitTime                           // 50ms
	unitNumber                         // 0.9: in the metric's own unit
	unitAny                            // any: no margin at all
)

// marginLatencyMax bounds a fixed limit of a latency.
const marginLatencyMax = time.Hour

// A marginRule says how the margin of one sort of guardrail is written.
type marginRule struct {
	units marginUnits
	write string // for the person who wrote something else
}

// ruleOf returns how a guardrail's margin is written.
func ruleOf(g *Guardrail) marginRule {
	contrast := g.Direction.Contrast()
	switch ranked := g.Kind == QuantileGuardrail || g.Kind == DistributionGuardrail; {
	case ranked && contrast && g.Buckets.Linear():
		return marginRule{unitNumber | unitAny, "0.05 (a shift, in the unit of " + g.Of + "), or any"}
	case ranked && contrast:
		return marginRule{unitFactor | unitAny, "20% (of the baseline's), or any"}
	case ranked && g.Of == ofLatency:
		return marginRule{unitTime, "50ms"}
	case ranked:
		return marginRule{unitNumber, "250, a number in the unit of " + g.Of}
	case g.Kind == MeanGuardrail && contrast:
		return marginRule{unitFactor | unitNumber | unitAny, "3% (of the baseline's), 0.5 (in the unit of " + g.Of + "), or any"}
	case g.Kind == MeanGuardrail:
		return marginRule{unitNumber, "250, a number in the unit of " + g.Of}
	case contrast:
		return marginRule{unitFactor | unitPoints | unitAny, "0.5pp (percentage points), 20% (of the baseline's), or any"}
	default:
		return marginRule{unitShare, "5%, a share"}
	}
}

// ParseMargin reads a margin as a guardrail with everything but its margin may have it. The error says what to write.
func ParseMargin(written string, g *Guardrail) (Margin, error) { return parseMargin(written, g) }

// parseMargin reads a margin as its guardrail allows it. The error says what to write.
func parseMargin(written string, g *Guardrail) (Margin, error) {
	rule := ruleOf(g)
	m := Margin{Text: written}
	if written == anyWord {
		m.Relative = g.Kind != MeanGuardrail && rule.units&unitFactor != 0 && rule.units&unitPoints == 0
		if rule.units&unitAny == 0 {
			return Margin{}, fmt.Errorf("any stands where a limit is wanted: write e.g. %s", rule.write)
		}
		return m, nil
	}
	digits := len(written) - len(strings.TrimLeft(written, "0123456789."))
	digitsOnly, unit := written[:digits], written[digits:]
	if !isDecimal(digitsOnly) {
		return Margin{}, fmt.Errorf("%q is no margin: write e.g. %s", written, rule.write)
	}
	var err error
	switch {
	case unit == "" && rule.units&unitNumber != 0:
		m.Value, err = strconv.ParseFloat(digitsOnly, 64)
	case unit == "":
		return Margin{}, fmt.Errorf("%s has no unit: write e.g. %s", written, rule.write)
	case unit == "%" && rule.units&(unitFactor|unitShare) != 0:
		m.Relative = rule.units&unitFactor != 0
		m.Value, err = strconv.ParseFloat(digitsOnly+"e-2", 64)
	case unit == "pp" && rule.units&unitPoints != 0:
		m.Value, err = strconv.ParseFloat(digitsOnly+"e-2", 64)
	case durationUnits[unit] != 0 && rule.units&unitTime != 0:
		var limit time.Duration
		limit, err = ParseDuration(written)
		m.Value = millis(limit)
	case strings.HasPrefix(unit, "e"), strings.HasPrefix(unit, "E"):
		return Margin{}, fmt.Errorf("%s: write the number without an exponent, e.g. %s", written, rule.write)
	default:
		return Margin{}, fmt.Errorf("%s: the unit %s doesn't fit this guardrail: write e.g. %s", written, unit, rule.write)
	}
	if err != nil {
		return Margin{}, fmt.Errorf("%s is out of range: write e.g. %s", written, rule.write)
	}
	return m, boundMargin(m, rule, g.Direction)
}

// boundMargin refuses margins that could never, or would always, be crossed.
func boundMargin(m Margin, rule marginRule, d Direction) error {
	share := !m.Relative && rule.units&(unitPoints|unitShare) != 0
	switch {
	case (d == Above || d == Below) && m.Value == 0:
		return fmt.Errorf("%s is no limit: write e.g. %s", m.Text, rule.write)
	case share && m.Value >= 1:
		return fmt.Errorf("%s: a share can't get there: write less than 100", m.Text)
	case m.Relative && d == Decrease && m.Value >= 1:
		return fmt.Errorf("%s: nothing can fall by that much: write less than 100%%", m.Text)
	case m.Relative && m.Value > maxFactor:
		return fmt.Errorf("%s is out of bounds: write at most %s%%", m.Text, shortNumber(100*maxFactor))
	case rule.units&unitTime != 0 && m.Value > millis(marginLatencyMax):
		return fmt.Errorf("%s is out of bounds: write at most %s", m.Text, FormatDuration(marginLatencyMax))
	}
	return nil
}

// maxFactor bounds a relative margin.
const maxFactor = 100
