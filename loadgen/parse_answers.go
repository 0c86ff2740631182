package loadgen

import (
	"math"
	"slices"
	"strings"
	"time"
)

func parseLatency(p *parser, l *line) error {
	law, err := parseLaw(l)
	if err != nil {
		return err
	}
	var d Drift
	err = parseOptions(l, &d, nil)
	p.each(func(a *Arm) { a.Latency, a.LatencyFactor = law, d })
	return err
}

func parseErrors(p *parser, l *line) error {
	var level Level
	var taking *Law
	var err error
	if level.Base, err = l.share("share of errors"); err != nil {
		return err
	}
	err = parseOptions(l, &level.Drift, map[string]func() error{"taking": func() error {
		law, err := parseLaw(l)
		taking = &law
		return err
	}})
	p.each(func(a *Arm) { a.Errors, a.ErrorLatency = level, taking })
	return err
}

func parseTimeouts(p *parser, l *line) error {
	var level Level
	var after float64
	var err error
	if level.Base, err = l.share("share of timeouts"); err != nil {
		return err
	}
	err = parseOptions(l, &level.Drift, map[string]func() error{"after": func() (err error) {
		after, err = l.span("duration", time.Millisecond)
		return err
	}})
	p.each(func(a *Arm) { a.Timeouts, a.TimeoutMs = level, after })
	return err
}

func parseOutcome(p *parser, l *line) error {
	name, err := l.name("an outcome")
	if err != nil {
		return err
	}
	if err := p.once(l, p.prefix(), "outcome "+name); err != nil {
		return err
	}
	isSample := func(a *Arm) bool {
		return slices.ContainsFunc(a.Samples, func(g Sample) bool { return g.Name == name })
	}
	if err := p.checkName(l, name, isSample); err != nil {
		return err
	}
	o := Outcome{Name: name}
	if o.Rate.Base, err = l.share("share of predictions"); err != nil {
		return err
	}
	if err := l.must("after"); err != nil {
		return err
	}
	if o.Delay, err = parseLaw(l); err != nil {
		return err
	}
	err = parseOptions(l, &o.Rate.Drift, nil)
	p.each(func(a *Arm) { a.Outcomes = put(a.Outcomes, o, func(x Outcome) bool { return x.Name == name }) })
	if max(len(p.s.Arms[Baseline].Outcomes), len(p.s.Arms[Canary].Outcomes)) > MaxOutcomes {
		return l.fail("more than %d outcomes", MaxOutcomes)
	}
	return err
}

// put replaces the element that is the same, or appends. The slice is copied: arms share none.
func put[T any](list []T, x T, same func(T) bool) []T {
	list = slices.Clone(list)
	if i := slices.IndexFunc(list, same); i >= 0 {
		list[i] = x
		return list
	}
	return append(list, x)
}

func parseHosts(p *parser, l *line) error {
	x, err := l.between("number of hosts", 1, MaxHosts)
	if err != nil {
		return err
	}
	if x != math.Trunc(x) {
		return l.fail("%g hosts: want a whole number", x)
	}
	name := ""
	if l.next < len(l.words) {
		if err := l.must("named"); err != nil {
			return err
		}
		if name, err = l.name("a host"); err != nil {
			return err
		}
	}
	p.each(func(a *Arm) { a.Hosts, a.HostName = int(x), name })
	return nil
}

func parseSegments(p *parser, l *line) error {
	var segments []Segment
	sum := 0.0
	for {
		name, err := l.name("a segment")
		if err != nil {
			return err
		}
		share, err := l.share("share")
		if err != nil {
			return err
		}
		if slices.ContainsFunc(segments, func(s Segment) bool { return s.Name == name }) {
			return l.fail("segment %q stands here twice", name)
		}
		segments = append(segments, Segment{name, share})
		sum += share
		if l.next == len(l.words) {
			break
		}
		if len(segments) == MaxSegments {
			return l.fail("more than %d segments", MaxSegments)
		}
	}
	if math.Abs(sum-1) > 1e-9 {
		return l.fail("the shares of the segments sum to %.6g%%, not to 100%%", sum*100)
	}
	p.each(func(a *Arm) { a.Segments = segments })
	return nil
}

func parseScore(p *parser, l *line) error {
	var score Score
	var err error
	if score.Level.Base, err = l.share("score"); err != nil {
		return err
	}
	err = parseOptions(l, &score.Level.Drift, map[string]func() error{
		"noise": func() (err error) { score.Noise, err = l.share("noise"); return err },
	})
	p.each(func(a *Arm) { a.Score = &score })
	return err
}

func parseSample(p *parser, l *line) error {
	name, err := l.name("a sample")
	if err != nil {
		return err
	}
	if err := p.once(l, p.prefix(), "sample "+name); err != nil {
		return err
	}
	isOutcome := func(a *Arm) bool {
		return slices.ContainsFunc(a.Outcomes, func(o Outcome) bool { return o.Name == name })
	}
	if err := p.checkName(l, name, isOutcome); err != nil {
		return err
	}
	g := Sample{Name: name}
	if g.Level.Base, err = l.share("level"); err != nil {
		return err
	}
	if err := l.must("every"); err != nil {
		return err
	}
	if g.EveryMs, err = l.span("duration", time.Millisecond); err != nil {
		return err
	}
	err = parseOptions(l, &g.Level.Drift, map[string]func() error{
		"noise":       func() (err error) { g.Noise, err = l.share("noise"); return err },
		"correlation": func() (err error) { g.Correlation, err = l.between("correlation", 0, 0.999999); return err },
	})
	p.each(func(a *Arm) { a.Samples = put(a.Samples, g, func(x Sample) bool { return x.Name == name }) })
	if max(len(p.s.Arms[Baseline].Samples), len(p.s.Arms[Canary].Samples)) > MaxSamples {
		return l.fail("more than %d samples", MaxSamples)
	}
	return err
}

func parseTransport(p *parser, l *line) error {
	var t Transport
	words := []string{"delay", "late", "duplicates", "lost", "broken"}
	if l.next == len(l.words) {
		return l.fail("the line ends where one of %s should be", strings.Join(words, ", "))
	}
	for {
		word, err := l.option(words...)
		if err != nil {
			return err
		}
		words = slices.DeleteFunc(words, func(w string) bool { return w == word })
		switch word {
		case "":
			p.each(func(a *Arm) { a.Transport = t })
			return nil
		case "delay":
			t.Delay, err = parseLaw(l)
		case "late":
			t.Late, t.LateBy, err = parseShareAndLaw(l, "by")
		case "duplicates":
			t.Duplicates, t.DuplicateAfter, err = parseShareAndLaw(l, "after")
		case "lost":
			t.Lost, err = l.share("share of lost events")
		case "broken":
			t.Broken, err = l.share("share of broken events")
		}
		if err != nil {
			return err
		}
	}
}

// parseShareAndLaw reads PERCENT WORD LAW.
func parseShareAndLaw(l *line, word string) (share float64, law Law, err error) {
	if share, err = l.share("share of events"); err != nil {
		return 0, Law{}, err
	}
	if err = l.must(word); err != nil {
		return 0, Law{}, err
	}
	law, err = parseLaw(l)
	return share, law, err
}
