package windows

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"
)

// A Digest is a running sha256 over merged parts and the evidence that they make. The zero value is ready.
type Digest struct {
	h   hash.Hash
	buf []byte
}

// What an entry of a digest is.
const (
	digestPart = iota + 1
	digestFloats
)

// Part adds the canonical bytes of what a part counts: not of its exemplars, which are only shown.
func (d *Digest) Part(p *Part) { d.write(digestPart, countedBytes(d.buf[:0], p)) }

// Floats adds numbers rounded to 1e-9. Infinities and NaN are kept as such.
func (d *Digest) Floats(xs []float64) {
	b := d.buf[:0]
	for _, x := range xs {
		if rounded := math.Round(x * 1e9); !math.IsInf(rounded, 0) && !math.IsNaN(rounded) {
			x = rounded + 0 // one zero
		}
		if math.IsNaN(x) {
			x = math.NaN() // one NaN
		}
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(x))
	}
	d.write(digestFloats, b)
}

// write adds an entry, framed by its length.
func (d *Digest) write(what byte, b []byte) {
	if d.h == nil {
		d.h = sha256.New()
	}
	frame := binary.AppendUvarint([]byte{what}, uint64(len(b)))
	d.h.Write(frame)
	d.h.Write(b)
	d.buf = b
}

// Sum returns the digest so far in lower-case hex. More can be added after it.
func (d *Digest) Sum() string {
	if d.h == nil {
		d.h = sha256.New()
	}
	return hex.EncodeToString(d.h.Sum(nil))
}

// PartBytes appends the canonical bytes of a part to dst: all that it counts and names, and neither a name of a metric nor of where it came from. Integers are
// zigzag varints (counts of elements unsigned), floats big-endian; text has its length before it. In order: format (1), kind, name, start, overflow; then for
// each arm its cells (n, k, buckets as distance from the last index and count, slices), and of a serving part the traffic. What a part may have
// beside that follows, where it isn't zero: with its number before it, sums (1), segments (2), bad events (3), the join gap (4), exemplars (5).
func PartBytes(dst []byte, p *Part) []byte {
	dst = countedBytes(dst, p)
	if p.shows() {
		dst = appendExemplarBytes(append(dst, 5), p.Exemplars)
	}
	return dst
}

// countedBytes is PartBytes without the exemplars.
func countedBytes(dst []byte, p *Part) []byte {
	dst = append(dst, 1, byte(p.Kind))
	dst = appendText(dst, p.Name)
	dst = binary.AppendVarint(dst, p.StartMs)
	dst = appendBool(dst, p.Overflow)
	for arm := range Arms {
		dst = binary.AppendUvarint(dst, uint64(len(p.Cells[arm])))
		for i := range p.Cells[arm] {
			dst = appendCellBytes(dst, &p.Cells[arm][i])
		}
		if p.Kind == Serving {
			dst = appendTrafficBytes(dst, &p.Traffic[arm])
		}
	}
	if p.hasSums() {
		dst = appendSumBytes(append(dst, 1), p)
	}
	if len(p.Segments) > 0 {
		dst = appendSegmentBytes(append(dst, 2), p.Segments)
	}
	if p.Bad != 0 {
		dst = binary.AppendVarint(append(dst, 3), p.Bad)
	}
	if p.Gap != [Arms]JoinGap{} || p.Source != (JoinGap{}) {
		dst = append(dst, 4)
		for _, g := range [...]JoinGap{p.Gap[Baseline], p.Gap[Canary], p.Source} {
			dst = binary.AppendVarint(dst, g.Matched)
			dst = binary.AppendVarint(dst, g.Unmatched)
		}
	}
	return dst
}

// appendSumBytes appends the sums of every cell: its own, of squares, and of its slices.
func appendSumBytes(dst []byte, p *Part) []byte {
	for arm := range Arms {
		for i := range p.Cells[arm] {
			c := &p.Cells[arm][i]
			dst = binary.AppendVarint(dst, c.Sum)
			dst = binary.AppendVarint(dst, c.Squares)
			for _, s := range c.Slices {
				dst = binary.AppendVarint(dst, s.Sum)
			}
		}
	}
	return dst
}

// appendSegmentBytes appends each segment's name and, for each arm, what it served and its cells with their sums.
func appendSegmentBytes(dst []byte, list []Segment) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for i := range list {
		s := &list[i]
		dst = appendText(dst, s.Name)
		for arm := range Arms {
			dst = binary.AppendVarint(dst, s.Served[arm])
			for j := range s.Cells[arm] {
				c := &s.Cells[arm][j]
				dst = appendCellBytes(dst, c)
				dst = binary.AppendVarint(dst, c.Sum)
				dst = binary.AppendVarint(dst, c.Squares)
			}
		}
	}
	return dst
}

// appendExemplarBytes appends each exhibit that names predictions: its number, how many they are, and of each prediction id, code, segment, rank and whether it is aside.
func appendExemplarBytes(dst []byte, lists [][]Exemplar) []byte {
	for i, list := range lists {
		if len(list) == 0 {
			continue
		}
		dst = binary.AppendUvarint(dst, uint64(i))
		dst = binary.AppendUvarint(dst, uint64(len(list)))
		for _, x := range list {
			dst = appendText(appendText(appendText(dst, x.ID), x.Code), x.Segment)
			dst = appendBool(binary.BigEndian.AppendUint64(dst, math.Float64bits(x.Rank)), x.Aside)
		}
	}
	return dst
}

func appendCellBytes(dst []byte, c *Cell) []byte {
	dst = binary.AppendVarint(dst, c.N)
	dst = binary.AppendVarint(dst, c.K)
	dst = binary.AppendUvarint(dst, uint64(len(c.Hist)))
	last := int64(0)
	for _, b := range c.Hist {
		dst = binary.AppendVarint(dst, int64(b.Index)-last)
		dst = binary.AppendUvarint(dst, uint64(b.Count))
		last = int64(b.Index)
	}
	for _, s := range c.Slices {
		dst = binary.AppendVarint(dst, s.N)
		dst = binary.AppendVarint(dst, s.K)
	}
	return dst
}

func appendTrafficBytes(dst []byte, t *Traffic) []byte {
	for _, n := range []int64{t.Events, t.Served, t.Late} {
		dst = binary.AppendVarint(dst, n)
	}
	dst = binary.BigEndian.AppendUint64(dst, math.Float64bits(t.SampledMin))
	dst = binary.BigEndian.AppendUint64(dst, math.Float64bits(t.SampledMax))
	for _, n := range t.Slices {
		dst = binary.AppendVarint(dst, n)
	}
	dst = binary.AppendUvarint(dst, uint64(len(t.Units)))
	for _, u := range t.Units {
		dst = binary.BigEndian.AppendUint64(dst, u.Unit)
		dst = binary.BigEndian.AppendUint64(dst, u.Pick)
	}
	dst = binary.AppendUvarint(dst, uint64(len(t.Hosts)))
	for _, h := range t.Hosts {
		dst = appendText(dst, h.Host)
		dst = binary.AppendVarint(dst, h.Events)
		dst = binary.AppendVarint(dst, h.Late)
	}
	return appendBool(dst, t.UnitsFull)
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}
