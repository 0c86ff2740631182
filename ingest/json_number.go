package ingest

import (
	"strconv"
	"unsafe"
)

// A jsonNumber is a decimal as it was read: ±digits · 10^exp.
type jsonNumber struct {
	digits   uint64
	exp      int32
	negative bool
	exact    bool // digits and exp hold the whole number
}

const (
	maxExactDigits = 1 << 53           // integers up to here are float64s
	maxExactExp    = 22                // powers of ten up to here are float64s
	roomForDigit   = (1<<64 - 10) / 10 // another digit fits while digits is at most this
	maxExp         = 1 << 20           // beyond it only strconv is asked
)

var powersOfTen = [maxExactExp + 1]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// scanNumber reads a JSON number at i and returns the position after it; -1: there is none.
func scanNumber(text []byte, i int, n *jsonNumber) int {
	*n = jsonNumber{exact: true}
	if text[i] == '-' {
		n.negative = true
		i++
	}
	from := i
	i = n.digitsAt(text, i)
	if i == from || (text[from] == '0' && i > from+1) {
		return -1
	}
	if i < len(text) && text[i] == '.' {
		from = i + 1
		if i = n.digitsAt(text, from); i == from {
			return -1
		}
		n.exp = -int32(i - from)
	}
	if i < len(text) && text[i]|0x20 == 'e' {
		return n.exponent(text, i+1)
	}
	return i
}

// digitsAt reads digits into the number and returns the position after them.
func (n *jsonNumber) digitsAt(text []byte, i int) int {
	d := n.digits
	for ; i < len(text); i++ {
		c := text[i] - '0'
		if c > 9 {
			break
		}
		if d > roomForDigit {
			n.exact = false
			continue
		}
		d = d*10 + uint64(c)
	}
	n.digits = d
	return i
}

// exponent reads an exponent after its letter.
func (n *jsonNumber) exponent(text []byte, i int) int {
	negative := false
	if i < len(text) && (text[i] == '+' || text[i] == '-') {
		negative = text[i] == '-'
		i++
	}
	from, e := i, int32(0)
	for ; i < len(text) && text[i]-'0' <= 9; i++ {
		if e = e*10 + int32(text[i]-'0'); e > maxExp {
			e, n.exact = maxExp, false
		}
	}
	if i == from {
		return -1
	}
	if negative {
		e = -e
	}
	n.exp += e
	return i
}

// float returns the number that strconv.ParseFloat makes of text, the number's own; false: beyond float64.
//
// Short decimals need one operation: digits up to 2^53 and powers of ten up to 10^22 are float64s themselves, and
// IEEE division and multiplication round the exact result once, to nearest even, which is what ParseFloat promises
// (W. Clinger, How to read floating point numbers accurately, PLDI 1990, section 3).
func (n *jsonNumber) float(text []byte) (float64, bool) {
	if n.exact && n.digits <= maxExactDigits && n.exp >= -maxExactExp && n.exp <= maxExactExp {
		f := float64(n.digits)
		if n.exp < 0 {
			f /= powersOfTen[-n.exp]
		} else {
			f *= powersOfTen[n.exp]
		}
		if n.negative {
			f = -f
		}
		return f, true
	}
	f, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(text), len(text)), 64)
	return f, err == nil
}

// integer returns the number if it is written as an integer (no fraction, no exponent) of at most 53 bits.
func (n *jsonNumber) integer() (int64, bool) {
	if !n.exact || n.exp != 0 || n.digits > maxExactDigits {
		return 0, false
	}
	if n.negative {
		return -int64(n.digits), true
	}
	return int64(n.digits), true
}
