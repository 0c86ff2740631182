package loadgen

import (
	"math"
	"slices"
	"strings"
	"time"
)

// lawWords is what a law may begin with.
var lawWords = []string{"fixed", "exponential", "uniform", "lognormal", "pareto"}

// parseLaw reads a law: one part, or several with their shares, parted by "|".
func parseLaw(l *line) (Law, error) {
	var law Law
	for {
		p, err := parseLawPart(l)
		if err != nil {
			return Law{}, err
		}
		law.Parts = append(law.Parts, p)
		if !l.takes("|") {
			break
		}
		if len(law.Parts) == MaxParts {
			return Law{}, l.fail("a law of more than %d parts", MaxParts)
		}
	}
	if len(law.Parts) == 1 && law.Parts[0].Share == 0 {
		law.Parts[0].Share = 1
	}
	sum := 0.0
	for i := range law.Parts {
		sum += law.Parts[i].Share
	}
	if math.Abs(sum-1) > 1e-9 {
		return Law{}, l.fail("the shares of the law's parts sum to %.6g%%, not to 100%%", sum*100)
	}
	return law, nil
}

// parseLawPart reads [hit|miss] [PERCENT] KIND NUMBERS [tail PERCENT pareto X].
func parseLawPart(l *line) (LawPart, error) {
	var p LawPart
	var err error
	if l.takes("hit") {
		p.Cache = CacheHit
	} else if l.takes("miss") {
		p.Cache = CacheMiss
	}
	if l.next < len(l.words) && strings.HasSuffix(l.words[l.next], "%") {
		if p.Share, err = l.share("share"); err != nil {
			return p, err
		}
	}
	kind, err := l.oneOf(lawWords...)
	if err != nil {
		return p, err
	}
	p.Kind = LawKind(slices.Index(lawWords, kind))
	if err := parseLawNumbers(l, &p); err != nil {
		return p, err
	}
	if l.takes("tail") {
		if err := parseTail(l, &p); err != nil {
			return p, err
		}
	}
	if p.TailShare > 0 {
		p.settle()
	}
	return p, nil
}

// parseLawNumbers reads what follows the kind's name.
func parseLawNumbers(l *line, p *LawPart) (err error) {
	switch p.Kind {
	case Fixed:
		p.A, err = l.span("duration", 0)
	case Exponential:
		p.A, err = l.span("mean", time.Microsecond)
	case Uniform:
		return parseRange(l, p)
	case Lognormal:
		if p.A, err = l.span("median", time.Microsecond); err == nil {
			err = parseShape(l, "sigma", &p.B, 5)
		}
	case Pareto:
		if p.A, err = l.span("least value", time.Microsecond); err == nil {
			err = parseShape(l, "exponent", &p.B, 100)
		}
	}
	return err
}

// parseRange reads FROM..TO.
func parseRange(l *line, p *LawPart) error {
	word, err := l.word("a range")
	if err != nil {
		return err
	}
	from, to, ok := strings.Cut(word, "..")
	lo, okLo := duration(from)
	hi, okHi := duration(to)
	if !ok || !okLo || !okHi || lo < 0 || hi <= lo || hi > MaxDuration {
		return l.fail("%q is no range: want one like 5s..30s", word)
	}
	p.A, p.B = float64(lo)/1e6, float64(hi)/1e6
	return nil
}

// parseShape reads a shape with its name in front.
func parseShape(l *line, name string, dst *float64, most float64) error {
	err := l.must(name)
	if err == nil {
		*dst, err = l.between(name, 0.01, most)
	}
	return err
}

// parseTail reads PERCENT pareto EXPONENT.
func parseTail(l *line, p *LawPart) (err error) {
	if p.Kind == Fixed {
		return l.fail("a fixed law has no tail")
	}
	if p.TailShare, err = l.share("share of the tail"); err != nil {
		return err
	}
	if p.TailShare <= 0 || p.TailShare > 0.5 {
		return l.fail("a tail of %g%%: want more than 0%% and at most 50%%", p.TailShare*100)
	}
	if err = l.must("pareto"); err == nil {
		p.TailExponent, err = l.between("exponent", 0.01, 100)
	}
	return err
}

// parseOptions reads `drift …`, `trend …` and the statement's own options up to the line's end, each at most once.
func parseOptions(l *line, d *Drift, own map[string]func() error) error {
	allowed := []string{"drift", "trend"}
	for name := range own {
		allowed = append(allowed, name)
	}
	slices.Sort(allowed)
	for {
		word, err := l.option(allowed...)
		if err != nil || word == "" {
			return err
		}
		allowed = slices.DeleteFunc(allowed, func(a string) bool { return a == word })
		switch word {
		case "drift":
			d.Amplitude, d.PeriodMs, err = parseDrift(l, false)
		case "trend":
			d.Trend, d.TrendMs, err = parseDrift(l, true)
		default:
			err = own[word]()
		}
		if err != nil {
			return err
		}
	}
}

// parseDrift reads PERCENT over DURATION; a signed one begins with + or -.
func parseDrift(l *line, signed bool) (share, overMs float64, err error) {
	word, err := l.word("a percentage")
	if err != nil {
		return 0, 0, err
	}
	share, ok := percent(word)
	switch {
	case signed && (!ok || word[0] != '+' && word[0] != '-' || share < -1 || share > 100):
		return 0, 0, l.fail("%q is no trend: want a percentage with its sign, from -100%% to +10000%%", word)
	case !signed && (!ok || share < 0 || share > 1):
		return 0, 0, l.fail("%q is no drift: want a percentage from 0%% to 100%%", word)
	}
	if err = l.must("over"); err != nil {
		return 0, 0, err
	}
	overMs, err = l.span("duration", time.Millisecond)
	return share, overMs, err
}
