package certify

import "math/rand/v2"

// A race plays runs until every method has alarmed or the time is over, and notes when each did.
type race struct {
	scene   func(run int) scene
	claim   Case // Alphas has one level
	methods []Method
	windows int
	runs    int
	ends    [][]finish // by method and run
	report  func(r *race) []Row
}

// finish is when a method alarmed in one run.
type finish struct {
	at     int   // the window, from 0 on; -1: never
	canary int64 // canary's predictions that were judged by then: an outcome's are those of its window, however long one waits for it
	by     string
	ending *Ending // of the whole verdict, as far as it was played; nil: of another method
}

func (r *race) begin(runs int) trial {
	fresh := *r
	fresh.runs, fresh.ends = runs, make([][]finish, len(r.methods))
	for i := range fresh.ends {
		fresh.ends[i] = make([]finish, runs)
	}
	return &fresh
}

func (r *race) play(run int, source func() *rand.Rand) {
	s := r.scene(run)
	c := r.claim
	c.Windows, c.Planned = r.windows, s.planned(r.windows)
	tape := NewTape(s, c.Rollout(c.Alphas[0]), source)
	watches := make([]watch, len(r.methods))
	for i, m := range r.methods {
		watches[i] = m.start(&c)
		r.ends[i][run].at = -1
	}
	judged := int64(0) // canary's predictions whose outcome is known
	for open := len(watches); open > 0 && tape.moment.T+1 < r.windows; {
		m := tape.Next()
		if counts, ok := c.counts(m); ok {
			judged += int64(counts.Nc)
		}
		for i, w := range watches {
			if end := &r.ends[i][run]; end.at < 0 && end.see(w, m, judged) {
				open--
			}
		}
	}
}

// see shows a window to a method that has not alarmed yet, and reports whether it does now.
func (f *finish) see(w watch, m *Moment, judged int64) bool {
	alarmed := [1]bool{}
	w.see(m, alarmed[:])
	v, whole := w.(*verdictWatch)
	if whole {
		f.ending = &v.ends[0]
	}
	if !alarmed[0] {
		return false
	}
	f.at, f.canary = m.T, judged
	if judged == 0 {
		f.canary = m.Canary
	}
	if whole {
		f.by = f.ending.RolledBack
	}
	return true
}

func (r *race) rows() []Row { return r.report(r) }

// caught is how many runs a method alarmed in, from the given window on; early is how many it alarmed in before.
func (r *race) caught(method, from int) (caught, early int) {
	for _, e := range r.ends[method] {
		switch {
		case e.at >= from:
			caught++
		case e.at >= 0:
			early++
		}
	}
	return caught, early
}

// why counts what a method's alarms stood on.
func (r *race) why(method int) string { return r.part(method, 0, 1, "").Note }

// part is a row about the runs that are h modulo n: how many there are, in how many of them a method alarmed, and on what those alarms stood.
func (r *race) part(method, h, n int, measure string) Row {
	row, counts := r.row(method, measure), map[string]int{}
	for run, e := range r.ends[method] {
		if run%n != h {
			continue
		}
		row.Runs++
		if e.at >= 0 {
			row.Count++
		}
		if e.by != "" {
			counts[e.by]++
		}
	}
	row.Note = counted(counts)
	return row
}

// row is a row of one of the race's methods.
func (r *race) row(method int, measure string) Row {
	m := &r.methods[method]
	return Row{Method: m.Name, Source: m.Source, Ours: m.Ours, Measure: measure, Alpha: r.claim.Alphas[0], Result: Figures}
}
