package windows

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"streamcanary/schemas"
)

// An Exhibit says which of the canary's predictions the parts of a stream name, so that people can look them up. Nothing is tested by them.
type Exhibit struct {
	Key    string // unique within a plan
	Stream Stream // of predictions, or of an outcome
	// Rank says whether a prediction is one to name, and how much so: of those in a window, the greatest ranks are named, and of equal ones
	// those whose ids have the smallest hashes. It must not be NaN. Of predictions only.
	Rank  func(e *schemas.Event) (rank float64, ok bool)
	Lacks bool // of an outcome: name predictions that don't have it, and not those that do
}

// An Exemplar is a prediction of the canary that a part names.
type Exemplar struct {
	ID, Code, Segment string
	Rank              float64 // as Exhibit.Rank has it; 0 of outcomes
	// Aside: of outcomes, it was drawn, but isn't what the exhibit names. An outcomes part has those of a small sample of its window, whichever they
	// are, so that the sums of parts don't depend on how the predictions were spread over the partitions.
	Aside bool
}

// MaxExemplars bounds the predictions that a part names for each exhibit, maxExhibits the exhibits of a plan.
const (
	MaxExemplars = 10
	maxExhibits  = 1 << 10
)

// compareExemplars puts those first that are named first.
func compareExemplars(a, b Exemplar) int {
	return cmp.Or(cmp.Compare(b.Rank, a.Rank), cmp.Compare(xxhash.Sum64String(a.ID), xxhash.Sum64String(b.ID)), strings.Compare(a.ID, b.ID),
		strings.Compare(a.Code, b.Code), strings.Compare(a.Segment, b.Segment), int(bit(a.Aside)-bit(b.Aside)))
}

// exhibits are the plan's of a stream, in its order.
func (p *Plan) exhibits(s Stream) []Exhibit {
	var list []Exhibit
	for _, x := range p.Exhibits {
		if x.Stream == s {
			list = append(list, x)
		}
	}
	return list
}

// ExhibitKeys names the exhibits of a stream's parts, in the order of Part.Exemplars.
func (p *Plan) ExhibitKeys(s Stream) []string {
	var keys []string
	for _, x := range p.exhibits(s) {
		keys = append(keys, x.Key)
	}
	return keys
}

// addExemplars adds what another part of the same window names: of each id one, and the first ones of each exhibit.
func (p *Part) addExemplars(add [][]Exemplar, most int) {
	for i, list := range add {
		p.exhibit(i)
		for _, x := range list {
			p.Exemplars[i] = addExemplar(p.Exemplars[i], x, most)
		}
	}
}

func addExemplar(list []Exemplar, x Exemplar, most int) []Exemplar {
	if same := slices.IndexFunc(list, func(o Exemplar) bool { return o.ID == x.ID }); same >= 0 {
		if compareExemplars(list[same], x) <= 0 {
			return list
		}
		list = slices.Delete(list, same, same+1)
	}
	at, _ := slices.BinarySearchFunc(list, x, compareExemplars)
	if at >= most {
		return list
	}
	list = slices.Insert(list, at, x)
	return list[:min(len(list), most)]
}

// exhibit makes room for the exemplars of exhibit i.
func (p *Part) exhibit(i int) {
	for len(p.Exemplars) <= i {
		if n := len(p.Exemplars); n < cap(p.Exemplars) {
			p.Exemplars = p.Exemplars[:n+1]
			p.Exemplars[n] = p.Exemplars[n][:0]
			continue
		}
		p.Exemplars = append(p.Exemplars, nil)
	}
}

// shows says whether the part names any prediction.
func (p *Part) shows() bool {
	return slices.ContainsFunc(p.Exemplars, func(list []Exemplar) bool { return len(list) > 0 })
}

// A showcase is what one exhibit of an open window would name by now. It keeps its memory.
type showcase struct {
	shown []shown // in no order
	last  int     // place of the one that is named last
}

// shown is an exemplar in bytes that are used again.
type shown struct {
	rank              float64
	hash              uint64
	id, code, segment []byte
}

// offer shows a prediction, if it is among the first MaxExemplars of the window.
func (c *showcase) offer(p placed, rank float64) {
	full := len(c.shown) == MaxExemplars
	if full && !c.shown[c.last].after(p, rank) {
		return
	}
	for i := range c.shown { // another copy or attempt
		if s := &c.shown[i]; s.hash == p.id && string(s.id) == string(p.ID) {
			if s.after(p, rank) {
				s.set(p, rank)
				c.findLast()
			}
			return
		}
	}
	at := c.last
	if !full {
		at = len(c.shown)
		c.shown = slices.Grow(c.shown, 1)[:at+1]
	}
	c.shown[at].set(p, rank)
	c.findLast()
}

// after says whether a prediction is named before the one that is shown.
func (s *shown) after(p placed, rank float64) bool {
	switch {
	case rank != s.rank:
		return rank > s.rank
	case p.id != s.hash:
		return p.id < s.hash
	}
	return cmp.Or(bytes.Compare(p.ID, s.id), bytes.Compare(p.Code, s.code), bytes.Compare(p.Segment, s.segment)) < 0
}

// behind says whether another one, of another id, is named before.
func (s *shown) behind(o *shown) bool {
	switch {
	case s.rank != o.rank:
		return s.rank < o.rank
	case s.hash != o.hash:
		return s.hash > o.hash
	}
	return bytes.Compare(s.id, o.id) > 0
}

func (s *shown) set(p placed, rank float64) {
	s.rank, s.hash = rank, p.id
	s.id, s.code, s.segment = append(s.id[:0], p.ID...), append(s.code[:0], p.Code...), append(s.segment[:0], p.Segment...)
}

// findLast looks for the one that is named last.
func (c *showcase) findLast() {
	c.last = 0
	for i := range c.shown {
		if c.shown[i].behind(&c.shown[c.last]) {
			c.last = i
		}
	}
}

// drain appends the exemplars in their order, and empties the showcase.
func (c *showcase) drain(dst []Exemplar, intern *interner) []Exemplar {
	for i := range c.shown {
		s := &c.shown[i]
		dst = append(dst, Exemplar{ID: string(s.id), Code: intern.text(s.code), Segment: intern.text(s.segment), Rank: s.rank})
	}
	slices.SortFunc(dst, compareExemplars)
	c.shown = c.shown[:0]
	return dst
}

// show offers a prediction of the canary to the window's exhibits.
func (o *openWindow) show(exhibits []Exhibit, p placed) {
	for len(o.shown) < len(exhibits) {
		o.shown = append(o.shown, showcase{})
	}
	for i := range exhibits {
		if rank, ok := exhibits[i].Rank(p.Event); ok {
			o.shown[i].offer(p, rank)
		}
	}
}

// drainShown moves what the window shows to its part.
func (o *openWindow) drainShown(names *interner) {
	for i := range o.shown {
		if len(o.shown[i].shown) > 0 {
			o.part.exhibit(i)
			o.part.Exemplars[i] = o.shown[i].drain(o.part.Exemplars[i], names)
		}
	}
}
