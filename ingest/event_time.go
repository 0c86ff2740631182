package ingest

import (
	"math"
	"time"
)

// timeMax is the last millisecond of the year 9999, beyond which RFC 3339 cannot write a time.
const timeMax = 253402300799999

// milliseconds returns the Unix milliseconds that a number means, rounded down; false: it cannot be a time.
func milliseconds(n *jsonNumber, text []byte) (int64, bool) {
	if ms, ok := n.integer(); ok {
		return ms, true
	}
	x, ok := n.float(text)
	if !ok || x < 0 || x >= timeMax+1 {
		return 0, false
	}
	return int64(math.Floor(x)), true
}

// parseRFC3339 returns the Unix milliseconds of a time as RFC 3339 writes it, rounded down: capital T and Z, two digits for
// each part, a point before the fraction. A leap second (:60) is refused, as by package time.
func parseRFC3339(text []byte) (int64, bool) {
	if len(text) < len("2006-01-02T15:04:05Z") || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' ||
		text[16] != ':' {
		return 0, false
	}
	year, ok1 := digits(text[0:4])
	month, ok2 := digits(text[5:7])
	day, ok3 := digits(text[8:10])
	hour, ok4 := digits(text[11:13])
	minute, ok5 := digits(text[14:16])
	second, ok6 := digits(text[17:19])
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6) || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	if t.Month() != time.Month(month) || t.Day() != day {
		return 0, false
	}
	fraction, rest, ok := fractionMs(text[19:])
	if !ok {
		return 0, false
	}
	offset, ok := zoneMs(rest)
	return t.UnixMilli() + fraction - offset, ok
}

// digits reads text as a number of digits only.
func digits(text []byte) (int, bool) {
	n := 0
	for _, c := range text {
		if c -= '0'; c > 9 {
			return 0, false
		}
		n = n*10 + int(c)
	}
	return n, true
}

// fractionMs reads an optional fraction of a second in milliseconds, further digits dropped, and returns what follows.
func fractionMs(text []byte) (int64, []byte, bool) {
	if len(text) == 0 || text[0] != '.' {
		return 0, text, true
	}
	ms, scale, i := int64(0), int64(100), 1
	for ; i < len(text) && text[i]-'0' <= 9; i++ {
		ms += int64(text[i]-'0') * scale
		scale /= 10
	}
	return ms, text[i:], i > 1
}

// zoneMs reads Z or an offset from UTC.
func zoneMs(text []byte) (int64, bool) {
	if len(text) == 1 && text[0] == 'Z' {
		return 0, true
	}
	if len(text) != 6 || text[3] != ':' || (text[0] != '+' && text[0] != '-') {
		return 0, false
	}
	hours, ok1 := digits(text[1:3])
	minutes, ok2 := digits(text[4:6])
	if !ok1 || !ok2 || hours > 23 || minutes > 59 {
		return 0, false
	}
	ms := int64(hours*60+minutes) * 60_000
	if text[0] == '-' {
		ms = -ms
	}
	return ms, true
}
