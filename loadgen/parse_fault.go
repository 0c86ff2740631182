package loadgen

import (
	"math"
	"slices"
	"strings"
	"time"
)

// faultKinds is what a fault can be about in every scenario.
var faultKinds = []string{"errors", "latency", "rate", "silent", "timeouts"}

// scoreFault is what a fault can be about where predictions have scores.
const scoreFault = "score"

func parseFault(p *parser, l *line) error {
	f := Fault{Text: strings.Join(l.words[1:], " "), UntilMs: math.Inf(1)}
	var err error
	if f.What, err = l.word("what breaks"); err != nil {
		return err
	}
	arm, err := l.oneOf("baseline", "canary", "both")
	if err != nil {
		return err
	}
	f.Arms = [Arms]bool{arm != "canary", arm != "baseline"}
	if f.What != "silent" {
		if err := parseChange(l, &f); err != nil {
			return err
		}
	}
	if err := parseFaultTimes(l, &f); err != nil {
		return err
	}
	if f.What == "rate" && (arm != "both" || f.Change != Times) {
		return l.fail("a fault of the rate is for both arms, and a factor like x2")
	}
	if len(p.s.Faults) == MaxFaults {
		return l.fail("more than %d faults", MaxFaults)
	}
	p.s.Faults = append(p.s.Faults, f)
	p.fault = append(p.fault, l.number)
	return nil
}

// parseChange reads +X, -X, =X or xN in the unit of what breaks, and `tail`.
func parseChange(l *line, f *Fault) error {
	word, err := l.word("a change")
	if err != nil {
		return err
	}
	f.Change = Change(word[0])
	rest, ok := word[1:], false
	switch {
	case f.Change == Times:
		f.By, ok = number(rest)
		ok = ok && f.By >= 0 && f.By <= 1000
	case f.What == "latency" && (f.Change == '+' || f.Change == '-'):
		d, good := duration(rest)
		f.By, ok = float64(d)/1e6, good && d >= 0 && d <= MaxDuration
	case f.What != "latency" && (f.Change == '+' || f.Change == '-'):
		f.By, ok = points(rest)
	case f.What != "latency" && f.Change == Set:
		f.By, ok = percent(rest)
		ok = ok && f.By >= 0 && f.By <= 1
	}
	if !ok && f.What == "latency" {
		return l.fail("%q is no change of a latency: want x1.5, +20ms or -20ms", word)
	}
	if !ok {
		return l.fail("%q is no change of a share: want +2pp, -1pp, =100%% or x1.5", word)
	}
	if f.Change == '-' {
		f.Change, f.By = Add, -f.By
	}
	if f.Tail = l.takes("tail"); f.Tail && (f.What != "latency" || f.Change != Times || f.By < 1) {
		return l.fail("only a latency has a tail, and it can only grow by a factor of 1 or more")
	}
	return nil
}

// points reads "2pp" as 0.02.
func points(word string) (float64, bool) {
	digits, ok := strings.CutSuffix(word, "pp")
	x, finite := number(digits)
	return x / 100, ok && finite && x >= 0 && x <= 100
}

// parseFaultTimes reads from DURATION [until DURATION] [over DURATION].
func parseFaultTimes(l *line, f *Fault) (err error) {
	if err = l.must("from"); err != nil {
		return err
	}
	if f.FromMs, err = l.span("time", 0); err != nil {
		return err
	}
	if l.takes("until") {
		if f.UntilMs, err = l.span("time", 0); err != nil {
			return err
		}
		if f.UntilMs <= f.FromMs {
			return l.fail("the fault ends before it begins")
		}
	}
	if l.takes("over") {
		if f.OverMs, err = l.span("duration", time.Millisecond); err != nil {
			return err
		}
		if f.What == "silent" || f.Change == Set {
			return l.fail("a fault that is silence or sets a value comes at once, not over a time")
		}
	}
	return nil
}

// guardrailNames are what an answer may name: the default guardrails, and the missing arm.
var guardrailNames = []string{"errors", "outage", "timeouts", "hang", "p99", "crawl", "cpu", "memory", "ctr", "sales", "missing"}

func parseExpect(p *parser, l *line) error {
	verdict, err := l.oneOf("rollback", "promote", "hold", "no-rollback")
	if err != nil {
		return err
	}
	p.s.Expect = Expect{Verdict: verdict, Fail: []string{}, Pass: []string{}}
	into := (*[]string)(nil)
	allowed := []string{"fail", "pass"}
	for l.next < len(l.words) {
		word, err := l.oneOf(allowed...)
		if err != nil {
			return err
		}
		switch word {
		case "fail":
			into = &p.s.Expect.Fail
		case "pass":
			into = &p.s.Expect.Pass
		default:
			*into = append(*into, word)
		}
		allowed = append([]string{"fail", "pass"}, guardrailNames...)
	}
	for _, name := range p.s.Expect.Fail {
		if slices.Contains(p.s.Expect.Pass, name) {
			return l.fail("%s can't both fail and pass", name)
		}
	}
	if verdict == "rollback" && len(p.s.Expect.Fail) == 0 {
		return l.fail("a rollback has to name what must fail")
	}
	return nil
}
