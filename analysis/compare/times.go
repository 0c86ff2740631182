package compare

import (
	"math"
	"strconv"
	"strings"
	"time"

	"streamcanary/schemas"
)

// timing is how a file writes its times. The first row decides.
type timing uint8

const (
	timingUnknown timing = iota
	timingNumber         // windows are numbered, or seconds since the start are counted
	timingSeconds        // Unix seconds
	timingMillis         // Unix milliseconds
	timingText           // RFC 3339, or the date and time of a database
)

var timingNames = [...]string{"", "a small number", "Unix seconds", "Unix milliseconds", "a date"}

// From these numbers on they are Unix times: in seconds 1973, in milliseconds 1973, too.
const (
	leastSeconds = 1e8
	leastMillis  = 1e11
	mostMillis   = 1e14
)

// numberedMs is the width that a numbered window is given.
const numberedMs = 1000

// layouts are the ways of writing a time that are read beside RFC 3339; without a zone they are UTC.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02",
}

// readTime reads a time in Unix milliseconds (of a numbered window: number times numberedMs), and how it is written.
func readTime(text string) (ms int64, how timing, ok bool) {
	if strings.Count(text, "-") >= 2 {
		layout := layoutOf(text)
		t, err := time.Parse(layout, text)
		if layout == "" || err != nil {
			return 0, 0, false
		}
		return t.UnixMilli(), timingText, true
	}
	x, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || !(x >= 0 && x < mostMillis):
		return 0, 0, false
	case x >= leastMillis:
		return int64(x), timingMillis, true
	case x >= leastSeconds:
		return int64(math.Floor(x * 1000)), timingSeconds, true
	}
	return int64(math.Floor(x * numberedMs)), timingNumber, true
}

// layoutOf is the way in which a date is written; empty: none that is read.
func layoutOf(text string) string {
	for _, layout := range layouts {
		if _, err := time.Parse(layout, text); err == nil {
			return layout
		}
	}
	return ""
}

// timeName writes the start of a window of samples.
func timeName(ms int64, how timing) string {
	if how == timingNumber {
		return strconv.FormatFloat(float64(ms)/1000, 'f', -1, 64)
	}
	return strings.Replace(schemas.Time(ms).String(), ".000Z", "Z", 1)
}
