package windows

import (
	"bytes"
	"strings"

	"streamcanary/schemas"
)

// A picker says which events of a version are of its arm. It is made once for a plan; asking it allocates nothing.
type picker struct{ host, segment, region *glob }

func newPicker(w schemas.Where) picker {
	return picker{newGlob(w.Host), newGlob(w.Segment), newGlob(w.Region)}
}

// fits says whether an event is picked. One that doesn't have a field that is asked for isn't.
func (p *picker) fits(e *schemas.Event) bool {
	return p.host.fits(e.Host) && p.segment.fits(e.Segment) && p.region.fits(e.Region)
}

// A glob is a pattern cut at its stars: what a text must begin with, hold in this order, and end with.
type glob struct {
	exact       bool // there is no star: first is all
	first, last []byte
	middle      [][]byte
}

// newGlob returns nil for no pattern.
func newGlob(pattern string) *glob {
	if pattern == "" {
		return nil
	}
	pieces := strings.Split(pattern, "*")
	g := &glob{exact: len(pieces) == 1, first: []byte(pieces[0]), last: []byte(pieces[len(pieces)-1])}
	for _, piece := range pieces[1:max(1, len(pieces)-1)] {
		if piece != "" {
			g.middle = append(g.middle, []byte(piece))
		}
	}
	return g
}

// fits says whether an event's field is as the pattern wants it; without a pattern, any is.
func (g *glob) fits(field []byte) bool { return g == nil || len(field) > 0 && g.matches(field) }

// matches takes each piece where it first comes: what follows then has the most room, so there is nothing to try again.
func (g *glob) matches(text []byte) bool {
	if g.exact {
		return bytes.Equal(text, g.first)
	}
	if len(text) < len(g.first)+len(g.last) || !bytes.HasPrefix(text, g.first) || !bytes.HasSuffix(text, g.last) {
		return false
	}
	text = text[len(g.first) : len(text)-len(g.last)]
	for _, piece := range g.middle {
		at := bytes.Index(text, piece)
		if at < 0 {
			return false
		}
		text = text[at+len(piece):]
	}
	return true
}
