package analysis

import (
	"cmp"
	"fmt"
	"slices"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// A check watches the input of an epoch. What it finds holds the rollout, or warns; it never stands in the way of a rollback, but for
// a guardrail's own whose numbers it makes meaningless (see selfTest).
type check interface {
	// take takes each part of the epoch, after the guardrails' tests of it and before it tells anything of over-dispersion.
	take(p *windows.Part, f feeding, c clock)
	// sick reports whether there is something to find now. It is asked after every part, and allocates nothing.
	sick() bool
	// holds reports whether that holds the rollout.
	holds() bool
	// alpha bounds the chance of a finding in an epoch in which nothing is wrong; 0 of what is counted and not tested.
	alpha() float64
	// code is that of its finding.
	code() string
	// finding tells it to a person.
	finding() schemas.Finding
	// evidence appends the numbers that it stands on, the same number of them each time.
	evidence(dst []float64) []float64
}

// A healthKind makes one sort of check. To add one: a file that registers it, and nothing else.
type healthKind struct {
	name string
	rank int // of several findings the lowest is told first, and gives the hold its reason
	// needs are metrics that it reads of each window, beside the guardrails' own; nil: none.
	needs func(r *schemas.Rollout) []windows.Metric
	// checks makes those of one epoch, when the judge has its guardrails; none where there is nothing to check.
	checks func(j *Judge) []check
}

// healthKinds has every kind, ascending by rank.
var healthKinds []healthKind

// registerHealth adds a kind; its file calls it for a package variable. It panics on a rank that is taken.
func registerHealth(k healthKind) bool {
	at, taken := slices.BinarySearchFunc(healthKinds, k.rank, func(k healthKind, rank int) int { return cmp.Compare(k.rank, rank) })
	if taken {
		panic(fmt.Sprintf("analysis: health checks %q and %q have one rank", k.name, healthKinds[at].name))
	}
	healthKinds = slices.Insert(healthKinds, at, k)
	return true
}

// healthNeeds are the metrics of all checks of a rollout.
func healthNeeds(r *schemas.Rollout) []windows.Metric {
	var all []windows.Metric
	for _, k := range healthKinds {
		if k.needs != nil {
			all = append(all, k.needs(r)...)
		}
	}
	return all
}

// newChecks makes the epoch's checks.
func (j *Judge) newChecks() {
	for _, k := range healthKinds {
		j.checks = append(j.checks, k.checks(j)...)
	}
	j.sick, j.sickNow = make([]bool, len(j.checks)), make([]bool, len(j.checks))
}

// check gives a part to every check.
func (j *Judge) check(p *windows.Part, f feeding) {
	for _, c := range j.checks {
		c.take(p, f, j.clock)
	}
}

// checkOf is the place of the check that has a code.
func (j *Judge) checkOf(code string) int {
	return slices.IndexFunc(j.checks, func(c check) bool { return c.code() == code })
}

// FalseRollbacks bounds how many rollbacks to expect in an epoch of a canary that does no harm: falseRollback, and where a stage plans a share of the traffic, 0.001 at most (a tenth of
// falseRollback, where that is less) for a canary of which nothing is heard when its traffic is due, and as much for one that only gets copies then; these two take health.noData of it, too.
// A sum of chances is a bound whether or not they depend on each other. Rollbacks at a stage's end for want of proof are not counted.
func (j *Judge) FalseRollbacks() float64 {
	sum := j.rollout.Risk.FalseRollback
	if j.stages.share(0) > 0 {
		sum += j.absentAlpha()
	}
	if j.unserved != nil {
		sum += j.absentAlpha()
	}
	return sum
}

// FalseHolds bounds how many holds to expect in an epoch in which nothing is wrong: those of guardrails with on: hold, which have falseRollback for
// themselves, that of a silent baseline, which has as much, that of one that is absent from the start where routers are asked (Judge.Due), and those of every check of the input and self-test that holds (0.001 each; of unreadable
// events twice). A sum of chances is a bound whether or not they depend on each other. Holds at a stage's end for want of proof are not counted.
func (j *Judge) FalseHolds() float64 {
	sum := 0.0
	if slices.ContainsFunc(j.guards, func(g *guard) bool { return g.spec.On == schemas.OnHold }) {
		sum = j.rollout.Risk.FalseRollback
	}
	for _, c := range j.checks {
		if c.holds() || c.code() == codeBaselineAbsent && j.arrival.awaited {
			sum += c.alpha()
		}
	}
	return sum
}

// findings tells everything that is sick.
func (j *Judge) findings() []schemas.Finding {
	var found []schemas.Finding
	for i, sick := range j.sickNow {
		if sick {
			found = append(found, j.checks[i].finding())
		}
	}
	return found
}

// A view is a check of what the judge knows anyway: it takes nothing and has no evidence of its own.
type view struct {
	name string // its code
	when func() bool
	warn bool                     // it never holds
	errs float64                  // its alpha
	tell func(f *schemas.Finding) // fills in the sentence, and what evidence there is
}

func (v *view) take(*windows.Part, feeding, clock) {}

func (v *view) sick() bool { return v.when() }

func (v *view) holds() bool { return !v.warn }

func (v *view) alpha() float64 { return v.errs }

func (v *view) code() string { return v.name }

func (v *view) finding() schemas.Finding {
	f := schemas.Finding{Code: v.name}
	v.tell(&f)
	return f
}

func (v *view) evidence(dst []float64) []float64 { return dst }
