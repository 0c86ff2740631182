package windows

import (
	"cmp"
	"slices"
)

// What the exhibits of outcomes name is only known when outcomes can't come any more, and that may be a day after the predictions. So a few of the
// canary's predictions that outcomes can follow are kept of each window: those whose ids have the smallest hashes.
const (
	sampleMost  = 4       // of a window
	sampleBound = 1 << 14 // of the windows that wait at a time in one partition, where each has its fullest sample
)

// sampler says how much is sampled. The zero value samples nothing.
type sampler struct {
	most    int
	everyMs int64    // only windows that start at multiples of it
	lacks   [][]bool // by outcome, of each of its exhibits: Exhibit.Lacks
}

// A sampled prediction may be named for an outcome.
type sampled struct {
	key      uint64 // of its entry in the index
	had      uint16 // outcomes, by bit
	id, code uint8  // lengths
	text     string // id, code and segment, end to end
}

func newSampler(p *Plan) sampler {
	var s sampler
	wanted, within := false, int64(0)
	for _, o := range p.Outcomes {
		var lacks []bool
		for _, x := range p.exhibits(Stream{Kind: Outcomes, Name: o.Name}) {
			lacks, wanted = append(lacks, x.Lacks), true
		}
		s.lacks, within = append(s.lacks, lacks), max(within, o.WithinMs)
	}
	if !wanted {
		return sampler{}
	}
	waiting := (within+2*p.LatenessMs)/p.WidthMs + 1
	s.most = int(max(1, min(sampleMost, sampleBound/waiting)))
	s.everyMs = p.WidthMs * ((waiting + sampleBound - 1) / sampleBound)
	return s
}

// sample keeps a prediction of the canary in window i, if it is among the first.
func (j *joinedWindows) sample(i int, p placed) {
	if j.sampler.most == 0 || p.arm != Canary || floorTo(j.windows[i].start, j.sampler.everyMs) != j.windows[i].start {
		return
	}
	key, list := max(p.id, 1), j.samples[i]
	at, again := slices.BinarySearchFunc(list, key, func(x sampled, key uint64) int { return cmp.Compare(x.key, key) })
	if at == j.sampler.most {
		return
	}
	text := make([]byte, 0, len(p.ID)+len(p.Code)+len(p.Segment))
	text = append(append(append(text, p.ID...), p.Code...), p.Segment...)
	x := sampled{key: key, id: uint8(len(p.ID)), code: uint8(len(p.Code)), text: string(text)}
	switch {
	case !again:
		list = slices.Insert(list, at, x)
		j.samples[i] = list[:min(len(list), j.sampler.most)]
	case x.text < list[at].text: // another attempt
		x.had = list[at].had
		list[at] = x
	}
}

// noteHad notes that a prediction has an outcome.
func (j *joinedWindows) noteHad(i, outcome int, s *slot) {
	if j.sampler.most == 0 || s.arm() != Canary {
		return
	}
	for k := range j.samples[i] {
		if x := &j.samples[i][k]; x.key == s.key {
			x.had |= 1 << outcome
		}
	}
}

// showSamples gives the sample of window i to the outcome's exhibits.
func (j *joinedWindows) showSamples(i, outcome int, p *Part) {
	if j.sampler.most == 0 || p.Overflow { // outcomes may be missing
		return
	}
	for at, lacks := range j.sampler.lacks[outcome] {
		for _, x := range j.samples[i] {
			had, id, code := x.had>>outcome&1 == 1, int(x.id), int(x.id)+int(x.code)
			p.exhibit(at)
			p.Exemplars[at] = append(p.Exemplars[at], Exemplar{ID: x.text[:id], Code: x.text[id:code], Segment: x.text[code:], Aside: had == lacks})
		}
		if at < len(p.Exemplars) {
			slices.SortFunc(p.Exemplars[at], compareExemplars)
		}
	}
}
