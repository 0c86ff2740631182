package loadgen

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A statement is one kind of line.
type statement struct {
	word  string
	usage string
	arms  armUse
	many  bool // may stand more than once
	parse func(p *parser, l *line) error
}

// armUse says whether a statement is about arms.
type armUse uint8

const (
	noArm  armUse = iota // about the whole scenario
	anyArm               // about both arms, or with `baseline` or `canary` in front about one
	oneArm               // one of them has to stand in front
)

// The statements of the language. It is filled by init, since the parse functions name their statements in errors.
var statements []statement

func init() {
	statements = []statement{
		{"model", "model NAME", noArm, false, parseModel},
		{"start", "start 2026-01-05T09:00:00Z", noArm, false, parseStart},
		{"for", "for DURATION", noArm, false, parseFor},
		{"seed", "seed NUMBER", noArm, false, parseSeed},
		{"rate", "rate N/s [drift PERCENT over DURATION] [trend ±PERCENT over DURATION]", noArm, false, parseRate},
		{"split", "split PERCENT [at DURATION]", noArm, true, parseSplit},
		{"users", "users N [sticky] [phi X over DURATION]", noArm, false, parseUsers},
		{"sessions", "sessions of N every DURATION [sticky] [phi X]", noArm, false, parseSessions},
		{"round", "round DURATION", noArm, false, parseRound},
		{"version", "baseline|canary version NAME", oneArm, false, parseVersion},
		{"latency", "[baseline|canary] latency LAW [drift PERCENT over DURATION] [trend ±PERCENT over DURATION]", anyArm, false, parseLatency},
		{"errors", "[baseline|canary] errors PERCENT [taking LAW] [drift …] [trend …]", anyArm, false, parseErrors},
		{"timeouts", "[baseline|canary] timeouts PERCENT [after DURATION] [drift …] [trend …]", anyArm, false, parseTimeouts},
		{"score", "[baseline|canary] score PERCENT [noise PERCENT] [drift …] [trend …]", anyArm, false, parseScore},
		{"outcome", "[baseline|canary] outcome NAME PERCENT after LAW [drift …] [trend …]", anyArm, true, parseOutcome},
		{"hosts", "[baseline|canary] hosts N [named NAME]", anyArm, false, parseHosts},
		{"segments", "[baseline|canary] segments NAME PERCENT …", anyArm, false, parseSegments},
		{"sample", "[baseline|canary] sample NAME PERCENT every DURATION [noise PERCENT] [correlation X] [drift …] [trend …]", anyArm, true, parseSample},
		{"transport", "[baseline|canary] transport [delay LAW] [late PERCENT by LAW] [duplicates PERCENT after LAW] [lost PERCENT] [broken PERCENT]", anyArm, false, parseTransport},
		{"fault", "fault WHAT baseline|canary|both +X|-X|=X|xN [tail] from DURATION [until DURATION] [over DURATION]", noArm, true, parseFault},
		{"expect", "expect rollback|promote|hold|no-rollback [fail GUARDRAIL…] [pass GUARDRAIL…]", noArm, false, parseExpect},
	}
}

// A parser holds the scenario as far as it is read.
type parser struct {
	s     *Scenario
	said  map[string]int // line on which something was said
	arms  [Arms]bool     // that the present line is about
	fault []int          // line of each fault
}

// Parse reads a scenario. The file's name stands in errors, and its base gives the scenario its name.
// The grammar is in the package's documentation.
func Parse(file, text string) (*Scenario, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("%s: %d bytes; a scenario has at most %d", file, len(text), MaxText)
	}
	base := strings.TrimSuffix(filepath.Base(file), ".txt")
	p := &parser{s: &Scenario{Name: base, Seed: 1, StartMs: defaultStartMs}, said: map[string]int{}}
	p.s.Units.Phi = 1
	for i := range p.s.Arms {
		p.s.Arms[i].Hosts = 1
	}
	number := 0
	for text := range strings.Lines(text) {
		number++
		statement, comment, _ := strings.Cut(text, "#")
		if p.s.Story == "" {
			p.s.Story = strings.TrimSpace(comment)
		}
		words := strings.Fields(strings.ReplaceAll(statement, ",", " "))
		if len(words) == 0 {
			continue
		}
		if err := p.line(&line{file: file, number: number, words: words}); err != nil {
			return nil, err
		}
	}
	if err := p.finish(file); err != nil {
		return nil, err
	}
	return p.s, nil
}

// defaultStartMs is a Monday morning: 2026-01-05T09:00:00Z.
const defaultStartMs = 1767603600000

// line reads one line that isn't empty.
func (p *parser) line(l *line) error {
	prefix := ""
	p.arms = [Arms]bool{true, true}
	if l.takes("baseline") {
		prefix, p.arms[Canary] = "baseline ", false
	} else if l.takes("canary") {
		prefix, p.arms[Baseline] = "canary ", false
	}
	word, err := l.word("a statement about this arm")
	if err != nil {
		return err
	}
	at := slices.IndexFunc(statements, func(st statement) bool { return st.word == word })
	if at < 0 {
		return l.unknown(word, statementWords())
	}
	st := statements[at]
	l.usage = st.usage
	switch {
	case prefix != "" && st.arms == noArm:
		return l.fail("%q is about the whole scenario, not about an arm", word)
	case prefix == "" && st.arms == oneArm:
		return l.fail("%q needs baseline or canary in front", word)
	}
	if !st.many {
		if err := p.once(l, prefix, word); err != nil {
			return err
		}
	}
	if err := st.parse(p, l); err != nil {
		return err
	}
	return l.end()
}

// once refuses what was said before for the same arms, and what is said for both after it was said for one.
func (p *parser) once(l *line, prefix, what string) error {
	if before, ok := p.said[prefix+what]; ok {
		return l.fail("%s%s was said before, on line %d", prefix, what, before)
	}
	p.said[prefix+what] = l.number
	if prefix != "" {
		return nil
	}
	for _, arm := range []string{"baseline ", "canary "} {
		if before, ok := p.said[arm+what]; ok {
			return l.fail("%s for both arms has to stand before %s%s on line %d, which it would undo", what, arm, what, before)
		}
	}
	return nil
}

// prefix is how the present line's arms are written in front of a statement.
func (p *parser) prefix() string {
	switch {
	case !p.arms[Canary]:
		return "baseline "
	case !p.arms[Baseline]:
		return "canary "
	}
	return ""
}

// each calls set for every arm that the present line is about.
func (p *parser) each(set func(a *Arm)) {
	for i := range p.s.Arms {
		if p.arms[i] {
			set(&p.s.Arms[i])
		}
	}
}

// statementWords is what a line may begin with.
func statementWords() []string {
	words := []string{"baseline", "canary"}
	for _, st := range statements {
		words = append(words, st.word)
	}
	return words
}

func parseModel(p *parser, l *line) (err error) {
	p.s.Model, err = l.name("a model")
	return err
}

func parseStart(p *parser, l *line) error {
	word, err := l.word("a time")
	if err != nil {
		return err
	}
	at, err := time.Parse(time.RFC3339Nano, word)
	if err != nil || at.Year() < 1971 || at.Year() > 9000 {
		return l.fail("%q is no time from 1971 to 9000 like 2026-01-05T09:00:00Z", word)
	}
	p.s.StartMs = at.UnixMilli()
	return nil
}

func parseFor(p *parser, l *line) error {
	ms, err := l.span("duration", time.Millisecond)
	p.s.Duration = time.Duration(ms * float64(time.Millisecond))
	return err
}

func parseSeed(p *parser, l *line) error {
	word, err := l.word("a seed")
	if err != nil {
		return err
	}
	p.s.Seed, err = strconv.ParseUint(word, 10, 64)
	if err != nil || p.s.Seed == 0 {
		return l.fail("%q is no seed: want a whole number from 1 to %d", word, uint64(math.MaxUint64))
	}
	return nil
}

func parseRate(p *parser, l *line) error {
	word, err := l.word("a rate")
	if err != nil {
		return err
	}
	digits, ok := strings.CutSuffix(word, "/s")
	x, finite := number(digits)
	if !ok || !finite || x <= 0 || x > MaxRate {
		return l.fail("%q is no rate: want a number above 0 and up to %g, like 1000/s", word, float64(MaxRate))
	}
	p.s.Rate.Base = x
	return parseOptions(l, &p.s.Rate.Drift, nil)
}

func parseSplit(p *parser, l *line) error {
	share, err := l.share("canary's share")
	if err != nil {
		return err
	}
	step := Step{Share: share}
	if at, err := l.option("at"); err != nil {
		return err
	} else if at != "" {
		if step.AtMs, err = l.span("time", 0); err != nil {
			return err
		}
	}
	n := len(p.s.Split)
	switch {
	case n == 0 && step.AtMs > 0:
		return l.fail("the first split has to begin at 0s")
	case n > 0 && step.AtMs <= p.s.Split[n-1].AtMs:
		return l.fail("a split has to begin after the one before it")
	case n == MaxSteps:
		return l.fail("more than %d splits", MaxSteps)
	}
	p.s.Split = append(p.s.Split, step)
	return nil
}

func parseUsers(p *parser, l *line) error {
	if before, ok := p.said["sessions"]; ok {
		return l.fail("units are sessions already, on line %d", before)
	}
	x, err := l.between("number of users", 1, MaxUsers)
	if err != nil {
		return err
	}
	u := &p.s.Units
	u.Users, u.PhiOverMs = math.Trunc(x), 1
	u.Sticky = l.takes("sticky")
	if !l.takes("phi") {
		return nil
	}
	if u.Phi, err = l.between("phi", 1, 1e6); err != nil {
		return err
	}
	if err = l.must("over"); err != nil {
		return err
	}
	u.PhiOverMs, err = l.span("duration", time.Millisecond)
	return err
}

func parseSessions(p *parser, l *line) error {
	if before, ok := p.said["users"]; ok {
		return l.fail("units are users already, on line %d", before)
	}
	err := l.must("of")
	if err != nil {
		return err
	}
	u := &p.s.Units
	if u.SessionOf, err = l.between("mean number of requests", 1, 1e4); err != nil {
		return err
	}
	if err = l.must("every"); err != nil {
		return err
	}
	if u.SessionGap, err = l.span("gap", time.Millisecond); err != nil {
		return err
	}
	if u.SessionOf*u.SessionGap > float64(MaxSession/time.Millisecond) {
		return l.fail("such sessions last longer than %s on average", MaxSession)
	}
	u.Sticky = l.takes("sticky")
	if l.takes("phi") {
		u.Phi, err = l.between("phi", 1, 1e6)
	}
	return err
}

func parseRound(p *parser, l *line) (err error) {
	p.s.RoundMs, err = l.span("granularity", time.Microsecond)
	return err
}

func parseVersion(p *parser, l *line) error {
	name, err := l.name("a version")
	p.each(func(a *Arm) { a.Version = name })
	return err
}

// finish checks what no single line can: what is missing, and what doesn't fit together.
func (p *parser) finish(file string) error {
	for _, word := range []string{"model", "baseline version", "canary version", "for", "rate", "latency", "expect"} {
		if !p.has(word) {
			return fmt.Errorf("%s: %q is missing", file, word)
		}
	}
	s := p.s
	if len(s.Split) == 0 {
		return fmt.Errorf("%s: %q is missing", file, "split")
	}
	if s.Arms[Baseline].Version == s.Arms[Canary].Version {
		return fmt.Errorf("%s: baseline and canary are the same version %q", file, s.Arms[Baseline].Version)
	}
	if c := s.clustering(); s.Units.Phi-1 > c {
		return fmt.Errorf("%s:%d: phi %g can't be: a unit's requests give at most %.3g", file,
			p.said["users"]+p.said["sessions"], s.Units.Phi, 1+c)
	}
	for i := range s.Faults {
		if err := p.checkFault(file, i); err != nil {
			return err
		}
	}
	return nil
}

// has says whether a statement was made, for both arms at once or for each.
func (p *parser) has(word string) bool {
	_, both := p.said[word]
	_, baseline := p.said["baseline "+word]
	_, canary := p.said["canary "+word]
	return both || baseline && canary
}

// checkFault fits a fault to the scenario's length and to what there is to break.
func (p *parser) checkFault(file string, i int) error {
	f := &p.s.Faults[i]
	l := &line{file: file, number: p.fault[i]}
	end := p.s.durationMs()
	if f.FromMs >= end || f.UntilMs > end && !math.IsInf(f.UntilMs, 1) {
		return l.fail("the fault lies beyond the scenario's end at %s", p.s.Duration)
	}
	if !slices.Contains(p.s.faultWords(), f.What) {
		return l.unknown(f.What, p.s.faultWords())
	}
	return nil
}

// faultWords is what a fault can be about in this scenario.
func (s *Scenario) faultWords() []string {
	words := append([]string(nil), faultKinds...)
	for i := range s.Arms {
		if s.Arms[i].Score != nil {
			words = append(words, scoreFault)
		}
		for _, o := range s.Arms[i].Outcomes {
			words = append(words, o.Name)
		}
		for _, g := range s.Arms[i].Samples {
			words = append(words, g.Name)
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// checkName refuses an outcome or sample that is called like something else that a fault could be about.
func (p *parser) checkName(l *line, name string, others func(a *Arm) bool) error {
	clash := slices.Contains(faultKinds, name) || name == scoreFault
	for i := range p.s.Arms {
		clash = clash || others(&p.s.Arms[i])
	}
	if clash {
		return l.fail("the name %q is taken", name)
	}
	return nil
}
