package analysis

import (
	"fmt"
	"math"
	"slices"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// What the judge knows of the traffic's own arrival, as findings.
var (
	_ = registerHealth(healthKind{name: "canary missing", rank: 10, checks: func(j *Judge) []check {
		return []check{j.missingView(windows.Canary, codeCanaryMissing)}
	}})
	_ = registerHealth(healthKind{name: "baseline missing", rank: 20, checks: func(j *Judge) []check {
		v := j.missingView(windows.Baseline, codeBaselineMissing)
		v.errs = j.rollout.Risk.FalseRollback
		return []check{v}
	}})
	_ = registerHealth(healthKind{name: "split", rank: 30, checks: func(j *Judge) []check {
		return []check{
			&view{name: codeSplitMismatch, warn: j.rollout.Health.Traffic != schemas.OnHold, errs: splitAlpha, when: func() bool { return j.split.off && !j.returning }, tell: j.tellSplit},
			// That says nothing of the canary, and never ends: were it a hold, no model with many users would ever come further by itself.
			&view{name: codeSplitUnwatched, warn: true, when: func() bool { return j.split.full }, tell: func(f *schemas.Finding) {
				f.Sentence = fmt.Sprintf("More than %s routing units have come in this epoch, and no more are remembered: from here on their split between the arms is no longer tested, and by itself that holds nothing. "+
					"Look at the router yourself; a new epoch counts anew.", countText(windows.MaxUnits))
			}},
		}
	}})
	_ = registerHealth(healthKind{name: "sampling", rank: 40, checks: func(j *Judge) []check {
		return []check{&view{name: codeUnequalSampling, when: func() bool { return j.sampling.unequal }, tell: func(f *schemas.Finding) {
			f.Sentence = fmt.Sprintf("Events of %s and %s are sampled at different or changing rates, so their windows are left out.",
				j.arm(windows.Canary), j.arm(windows.Baseline))
		}}}
	}})
	_ = registerHealth(healthKind{name: "segments", rank: 45, checks: func(j *Judge) []check {
		switch {
		case j.roster == nil:
			return nil
		case len(j.rollout.Segments.List) > 0:
			return []check{&view{name: codeUnlisted, warn: true, when: func() bool { return j.unlisted.some > 0 }, tell: j.tellUnlisted}}
		}
		return []check{&view{name: codeSegmentsFull, when: func() bool { return j.crowded || j.unplaced() }, tell: j.tellSegmentsFull}}
	}})
	_ = registerHealth(healthKind{name: "both arms", rank: 50, checks: func(j *Judge) []check {
		both := func(g *guard) bool { return g.bothArms }
		return []check{&view{name: codeBothArms, when: func() bool { return slices.ContainsFunc(j.guards, both) }, tell: func(f *schemas.Finding) {
			f.Sentence = fmt.Sprintf("Both %s and %s are beyond the limit of %s: rolling back would not help.",
				j.arm(windows.Canary), j.arm(windows.Baseline), j.list(both))
		}}}
	}})
	_ = registerHealth(healthKind{name: "join overflow", rank: 60, checks: func(j *Judge) []check {
		blind := func(s *stream) bool { return s.overflow && j.matters(s) }
		return []check{&view{name: codeJoinOverflow, when: func() bool { return slices.ContainsFunc(j.streams, blind) }, tell: func(f *schemas.Finding) {
			f.Sentence = "More predictions wait for outcomes than are remembered, so outcomes may be missing; their windows are left out."
		}}}
	}})
)

func (j *Judge) tellSegmentsFull(f *schemas.Finding) {
	const mend = "name these with segments: {list: [a, b]}, and apply that with --new-epoch."
	if !j.crowded {
		f.Sentence = fmt.Sprintf("More than %d segments have come, and stratify keeps no more apart: those that came later are compared nowhere, so harm to them isn't seen, and the great ones may be among them: %s", strataMost-1, mend)
		return
	}
	f.Sentence = fmt.Sprintf("A window has %d segments or more: those whose names come last are counted with all others, so the greatest may not be among the watched: %s", windows.MaxSegments, mend)
	if j.rollout.Stratify {
		f.Sentence += " With stratify these others are compared nowhere in such a window."
	}
}

func (j *Judge) tellUnlisted(f *schemas.Finding) {
	f.Sentence = fmt.Sprintf("%s of the predictions (%s of %s) are in no segment of the list, and stratify compares %s with %s within those alone: harm to the others is seen by limits (above, below), and by nothing else. "+
		"If that is too many, list their segments, too, and apply that with --new-epoch.", capital(percentText(float64(j.unlisted.some)/float64(j.unlisted.all))), countText(j.unlisted.some), countText(j.unlisted.all), j.arm(windows.Canary), j.arm(windows.Baseline))
}

// silent reports whether an arm is proven missing now.
func (j *Judge) silent(arm windows.Arm) bool { return j.missing[arm].proven(j.silence[arm]) }

func (j *Judge) missingView(arm windows.Arm, code string) *view {
	m := j.missing[arm]
	return &view{name: code, when: func() bool { return j.silent(arm) }, tell: func(f *schemas.Finding) {
		f.Sentence = fmt.Sprintf("Nothing was heard of %s since %s, while %s sent %s predictions%s.%s%s",
			j.arm(arm), timeText(m.lastMs, j.nowMs), j.arm(1-arm), countText(m.others), j.dueText(m), j.movedText(arm), j.othersText())
		f.LogEvidence, f.Threshold, f.Since = shown(m.mixture.LogE()), j.silence[arm], schemas.Time(m.lastMs)
	}}
}

// dueText is how much of a silent arm was due, where its share is known: another controller may have moved that.
func (j *Judge) dueText(m *missing) string {
	due := int64(math.Round(m.due()))
	if j.stages.moved || m.planned == 0 && due == 0 {
		return ""
	}
	return fmt.Sprintf("; about %s of the former were due", countText(due))
}

// movedText is what a silent arm may mean where another controller moves the traffic, and what to do then; "" where none does.
func (j *Judge) movedText(arm windows.Arm) string {
	switch {
	case !j.stages.moved:
		return ""
	case arm == windows.Canary:
		return fmt.Sprintf(" Another controller moves the traffic: if it has not taken it from %s, look whether that runs and answers.", j.arm(arm))
	}
	return fmt.Sprintf(" Another controller moves the traffic. If it has given all of it to %s, nothing is left to compare (by then passed: %s; not yet: %s): `streamcanary rollout promote %s --override --comment WHY` "+
		"ends the rollout with that, and `streamcanary rollout rollback %s --comment WHY` with all of it at %s, which that controller must carry out, too. If it has not, look whether %s runs and answers. It holds until that is heard of.",
		j.arm(windows.Canary), j.names(schemas.StatePassed), j.openNames(), j.rollout.Name, j.rollout.Name, j.arm(arm), j.arm(arm))
}

func (j *Judge) tellSplit(f *schemas.Finding) {
	since, _, _ := j.split.changed()
	f.Sentence = j.splitSentence()
	f.LogEvidence, f.Threshold, f.Since = shown(j.split.logE()), splitThreshold, schemas.Time(since)
}

// lostText is what a share below the plan may mean besides, where the canary has half of its share or more, so that it isn't scarce: if routers send it what they say they do, less than half of that is answered. A
// canary with nearly all of the traffic loses little of its share by that. "" where it can't be so, or no router says that it follows.
func (j *Judge) lostText(since *splitTally) string {
	share, planned := since.share(), since.planned()
	if j.split.units || !j.arrival.awaited || j.stages.present().Shadow() || share < scarcely*planned || share*(1-planned) >= scarcely*planned*(1-share) {
		return ""
	}
	return fmt.Sprintf(" If routers send %s what is planned, less than half of that is answered, and users get no answer: look whether all of it runs and answers (pods, hosts, regions).", j.arm(windows.Canary))
}

// splitSentence says what the canary's share was until when, or was planned, and what it is since.
func (j *Judge) splitSentence() string {
	at, before, since := j.split.changed()
	what, canary := "predictions", j.arm(windows.Canary)
	if j.split.units {
		what = "routing units"
	}
	when := ""
	if at > 0 {
		when = " since " + timeText(at, j.nowMs)
	}
	counts := fmt.Sprintf("(%s of %s)", countText(since.canary), countText(since.all))
	switch {
	case j.split.planned > 0:
		pass := ""
		if j.plan.differs() {
			pass = " Nothing counts towards a pass until it is."
		}
		return fmt.Sprintf("Traffic is not split as planned: %s has %s of the %s of both%s %s, planned are %s; the comparison may be of unlike users, or a third version has some of the traffic.%s%s%s",
			canary, percentText(since.share()), what, when, counts, percentText(since.planned()), pass, j.lostText(&since), j.othersText())
	case before.all == 0:
		return fmt.Sprintf("Traffic is not split as it was at first: %s has %s of the %s%s %s; the comparison may be of unlike users.",
			canary, percentText(since.share()), what, when, counts)
	}
	return fmt.Sprintf("Traffic is not split as it was: %s had %s of the %s until %s, %s since %s; the comparison may be of unlike users.",
		canary, percentText(before.share()), what, timeText(at, j.nowMs), percentText(since.share()), counts)
}
