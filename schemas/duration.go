package schemas

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// durationUnits are what a part of a duration may be counted in.
var durationUnits = map[string]time.Duration{
	"d": day, "h": time.Hour, "m": time.Minute, "s": time.Second,
	"ms": time.Millisecond, "us": time.Microsecond, "µs": time.Microsecond, "ns": time.Nanosecond,
}

// durationPattern is the same grammar for JSON Schema.
const durationPattern = `^([0-9]+(\.[0-9]+)?(d|h|ms|m|s|us|µs|ns))+$`

// ParseDuration reads a Go duration, in which d stands for 24 hours: 250ms, 1.5h, 1d12h. No sign, and no number
// without a unit. The error says what to write.
func ParseDuration(text string) (time.Duration, error) {
	if text == "" {
		return 0, fmt.Errorf("a duration is missing: write e.g. 10m")
	}
	var sum time.Duration
	for rest := text; rest != ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789."))
		number, after := rest[:digits], rest[digits:]
		letters := len(after) - len(strings.TrimLeft(after, "dhmsunµ"))
		unit, known := durationUnits[after[:letters]]
		switch {
		case number == text && isDecimal(number):
			return 0, fmt.Errorf("%q has no unit: write e.g. %ss, or %sm", text, number, number)
		case !known || !isDecimal(number):
			return 0, fmt.Errorf("%q is no duration: write e.g. 250ms, 30s, 10m, 24h or 14d", text)
		}
		part, err := scaled(number, unit)
		if err != nil || part > Never-sum {
			return 0, fmt.Errorf("duration %q is too long", text)
		}
		sum, rest = sum+part, after[letters:]
	}
	return sum, nil
}

// scaled returns number times unit, rounded to nanoseconds, exact for whole numbers.
func scaled(number string, unit time.Duration) (time.Duration, error) {
	whole, fraction, _ := strings.Cut(number, ".")
	count, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || count > int64(Never/unit) {
		return 0, fmt.Errorf("%s is out of range", number)
	}
	part := time.Duration(count) * unit
	if fraction == "" {
		return part, nil
	}
	share, err := strconv.ParseFloat("0."+fraction, 64)
	if err != nil {
		return 0, err
	}
	tail := time.Duration(share*float64(unit) + 0.5)
	if tail > Never-part {
		return 0, fmt.Errorf("%s is out of range", number)
	}
	return part + tail, nil
}

// isDecimal says whether text is digits, with at most one point between them.
func isDecimal(text string) bool {
	whole, fraction, point := strings.Cut(text, ".")
	return allDigits(whole) && (!point || allDigits(fraction))
}

func allDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// FormatDuration writes a duration so that ParseDuration reads it back: 1s, 10m, 24h, 14d, and never for Never.
// Negative durations are not for files; they come out as Go writes them.
func FormatDuration(d time.Duration) string {
	switch {
	case d == Never:
		return neverWord
	case d >= 7*day && d%day == 0:
		return strconv.FormatInt(int64(d/day), 10) + "d"
	case d == 0:
		return "0s"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func fromMillis(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }
