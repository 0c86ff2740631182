package schemas

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// scalar says what is wrong with a scalar and what to write, or returns "".
func (f *form) scalar(n *yaml.Node) string {
	if slices.Contains(f.words, n.Value) {
		return ""
	}
	switch f.kind {
	case textForm:
		return f.checkText(n)
	case patternForm:
		if wrong := f.checkText(n); wrong != "" {
			return wrong
		}
		return wrongPattern(n.Value)
	case wordForm:
		if near := nearest(n.Value, f.words); near != "" {
			return fmt.Sprintf("%q is not known: did you mean %s?", n.Value, near)
		}
	case numberForm, integerForm:
		return f.checkNumber(n)
	case durationForm:
		return f.checkDuration(n)
	case marginForm: // its guardrail says what is allowed
		return ""
	case percentForm:
		if share, wrong := plainNumber(strings.TrimSuffix(n.Value, "%")); wrong == "" && strings.HasSuffix(n.Value, "%") && share <= 100 {
			return ""
		}
	case boolForm:
		if n.ShortTag() == "!!bool" {
			return ""
		}
	}
	return fmt.Sprintf("%q stands where %s is wanted", n.Value, f.wants())
}

func (f *form) checkText(n *yaml.Node) string {
	switch n.ShortTag() {
	case "!!str", "!!timestamp":
	case "!!bool":
		return fmt.Sprintf("%s is a truth value here: write \"%s\", in quotes", n.Value, n.Value)
	case "!!int", "!!float":
		return fmt.Sprintf("%s is a number here: write \"%s\", in quotes", n.Value, n.Value)
	default:
		return fmt.Sprintf("%q is no text here: write it in quotes", n.Value)
	}
	switch {
	case strings.TrimSpace(n.Value) == "":
		return "is empty: write a name, or remove it"
	case len(n.Value) > int(f.high):
		return fmt.Sprintf("is %d bytes long, %d are allowed", len(n.Value), int(f.high))
	case strings.ContainsFunc(n.Value, unicode.IsControl):
		return fmt.Sprintf("%q has control characters: remove them", n.Value)
	}
	return ""
}

func (f *form) checkNumber(n *yaml.Node) string {
	value, wrong := f.parseNumber(n.Value)
	switch {
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 && wrong == "":
		return fmt.Sprintf("%q is text here: write it without quotes", n.Value)
	case wrong != "":
		return wrong
	case f.kind == integerForm && value != float64(int64(value)):
		return n.Value + " is not a whole number"
	case value < f.low, value > f.high, f.open && value == f.low:
		return fmt.Sprintf("%s is out of bounds: write a number %s, at most %s", n.Value, f.least(), shortNumber(f.high))
	}
	return ""
}

func (f *form) least() string {
	if f.open {
		return "above " + shortNumber(f.low)
	}
	return "from " + shortNumber(f.low)
}

func shortNumber(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// parseNumber reads a decimal number; with a sign, where negative ones are allowed.
func (f *form) parseNumber(text string) (float64, string) {
	digits, negative := strings.CutPrefix(text, "-")
	if !negative || f.low >= 0 {
		return plainNumber(text)
	}
	value, wrong := plainNumber(digits)
	return -value, wrong
}

// plainNumber reads a decimal number without sign; the second result says what is wrong with it, or is "".
func plainNumber(text string) (float64, string) {
	mantissa, exponent, scientific := strings.Cut(strings.ToLower(text), "e")
	octal := len(mantissa) > 1 && mantissa[0] == '0' && mantissa[1] != '.'
	if !isDecimal(mantissa) || octal || scientific && !allDigits(strings.TrimLeft(exponent, "+-")) {
		return 0, fmt.Sprintf("%q stands where a number is wanted: write it in decimal digits, without a sign", text)
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, fmt.Sprintf("%s is too great for a number", text)
	}
	return value, ""
}

func (f *form) checkDuration(n *yaml.Node) string {
	d, err := ParseDuration(n.Value)
	low, high := fromMillis(f.low), fromMillis(f.high)
	switch {
	case err != nil:
		return err.Error()
	case d%1e6 != 0:
		return n.Value + " is finer than a millisecond: round it"
	case d < low, d > high:
		return fmt.Sprintf("%s is out of bounds: write a duration from %s to %s", n.Value, FormatDuration(low), FormatDuration(high))
	}
	return ""
}
