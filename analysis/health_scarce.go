package analysis

import (
	"fmt"

	"streamcanary/schemas"
	"streamcanary/windows"
)

const codeCanaryScarce = "canary_scarce"

// scarcely is the part of its planned share below which a canary counts as scarce.
const scarcely = .5

// scarce watches for a canary that breaks off in part: routers say that they follow a weight, and not half of it is answered. Events tell nothing of who got no answer, so no
// guardrail sees it; nor is it silent, so that missing and unserved don't. It may as well be a router that sends it less than it says, and nobody can tell these apart from
// here: as with a canary of which nothing comes, what may hurt users goes back. It is told of after health.silent, and rolled back after health.noData, both of windows with
// traffic, without a break. Where no router has said that it follows (advice, a replay), nothing is awaited.
//
// Half of the share, and not of the odds: a canary that is to have 95 % of the traffic, and half of whose users get no answer, has 90.5 % of what is answered; so has one to which a router sends 90.5 %, and
// then the baseline answers the rest. By the odds both would go back, and in the second case most users would change versions for a weight that is a little off. What would tell them apart is whether the
// baseline answers more than before, a second for a second; but how much is asked at all changes by itself, for one region as for all, and no test holds over that. So beyond half of the share nothing goes
// back: the split's test holds the rollout, and its sentence says what it may mean (lostText).
//
// It stands on sizes, divided by their over-dispersion, copies left out, in batches: one ends as soon as its share is proven to be below the half (shareDeviance: once in
// 30,000 of a canary that has just that), or when a quarter would be. For a canary that gets its share, a minute of them is beyond all chance, so it takes nothing of any budget.
// Where events name units, a router may keep users where they are, and a new weight comes with new ones: then the split's own test, which counts each at first sight, must have proven it, too.
type scarce struct {
	judge    *Judge
	serving  *stream
	batch    sizesOver // the open one
	seen     sizesOver // of the stretch: all since the canary is scarce
	sinceMs  int64     // start of the stretch; 0: it isn't scarce
	openedMs int64     // start of the open batch
	endMs    int64     // of the latest window
}

// sizesOver is sizes, each divided by phi, and the ms of windows with traffic that they are of.
type sizesOver struct {
	canary, baseline float64
	ms               int64
}

func (s *sizesOver) add(o sizesOver) {
	s.canary += o.canary
	s.baseline += o.baseline
	s.ms += o.ms
}

func (s *sizesOver) share() float64 { return s.canary / (s.canary + s.baseline) }

// beyond reports whether so many sizes of a share prove that it isn't another one.
func (s *sizesOver) beyond(share, other float64) bool {
	return 2*(s.canary+s.baseline)*(excess(share, other)+excess(1-share, 1-other)) > shareDeviance
}

var _ = registerHealth(healthKind{name: "canary scarce", rank: 13, checks: func(j *Judge) []check {
	if j.stages.share(0) == 0 {
		return nil
	}
	j.scarce = &scarce{judge: j, serving: j.stream(servingStream)}
	return []check{j.scarce}
}})

// renew begins a stage; nil is no check.
func (s *scarce) renew() {
	if s != nil {
		*s = scarce{judge: s.judge, serving: s.serving}
	}
}

func (s *scarce) take(p *windows.Part, f feeding, c clock) {
	j := s.judge
	if p.Kind != windows.Serving || f.unequal || !j.arrival.awaited || !j.arrival.counts(p.StartMs) || s.serving.stage != j.stages.now || j.stages.present().Shadow() {
		return
	}
	arms := j.sizes.arms()
	phi := max(arms[windows.Canary], arms[windows.Baseline])
	canary, baseline := &p.Traffic[windows.Canary], &p.Traffic[windows.Baseline]
	now := sizesOver{float64(canary.Served+canary.Late) / phi, float64(baseline.Served+baseline.Late) / phi, c.widthMs}
	if now.canary+now.baseline == 0 {
		return
	}
	if s.batch.ms == 0 {
		s.openedMs = p.StartMs
	}
	s.batch.add(now)
	s.endMs = p.StartMs + c.widthMs
	half := scarcely * j.stages.share(j.stages.now)
	switch is := s.batch.share(); {
	case is < half && s.batch.beyond(is, half):
		if s.sinceMs == 0 {
			s.sinceMs = s.openedMs
		}
		s.seen.add(s.batch)
		s.batch = sizesOver{}
	case s.batch.beyond(half/2, half):
		s.sinceMs, s.seen, s.batch = 0, sizesOver{}, sizesOver{}
	}
}

// lasted is for how long it is scarce, in ms: the open batch counts where it looks like the others.
func (s *scarce) lasted() int64 {
	if s.batch.ms > 0 && s.batch.share() < scarcely*s.judge.stages.share(s.serving.stage) {
		return s.seen.ms + s.batch.ms
	}
	return s.seen.ms
}

// over reports whether it has lasted so long that something is done; nil is no check.
func (s *scarce) over() bool { return s != nil && s.sick() && s.lasted() >= s.judge.arrival.noData }

func (s *scarce) sick() bool {
	j := s.judge
	switch {
	case j.returning: // the way back makes it so
		return false
	case s.seen.canary == 0, s.lasted() < j.arrival.silent, j.silent(windows.Canary), j.unserved.sick(): // one that is silent has findings of its own
		return false
	case j.split.units:
		return j.split.off && !j.split.full
	}
	return true
}

func (s *scarce) holds() bool { return false }

func (s *scarce) alpha() float64 { return 0 }

func (s *scarce) code() string { return codeCanaryScarce }

func (s *scarce) finding() schemas.Finding {
	return schemas.Finding{Code: codeCanaryScarce, Sentence: s.sentence(), Since: schemas.Time(s.sinceMs)}
}

// sentence says what is planned and what is seen since when, what that may mean, what comes of it, and what to look at.
func (s *scarce) sentence() string {
	j := s.judge
	then := fmt.Sprintf(": if it stays so until %s, it is rolled back", timeText(s.endMs+max(0, j.arrival.noData-s.lasted()), j.nowMs))
	if s.over() {
		then = fmt.Sprintf(", so it is rolled back after %s", durationText(s.lasted()))
	}
	return fmt.Sprintf("%s answers %s of the traffic of both since %s, which is less than half of the %s that are planned. Users who are sent to it may get no answer%s. "+
		"Look whether all of it runs and answers (pods, hosts, regions), and whether every router sends it what it says it does.%s",
		capital(j.arm(windows.Canary)), percentText(s.seen.share()), timeText(s.sinceMs, j.nowMs), percentText(j.stages.share(j.stages.now)), then, j.othersText())
}

func (s *scarce) evidence(dst []float64) []float64 { return dst }

// told appends what it stands on while there is something to tell, so that what is decided by it is in the digest, and that of a rollout in which nothing is amiss has no more
// numbers. nil is no check.
func (s *scarce) told(dst []float64) []float64 {
	if s == nil || !s.sick() {
		return dst
	}
	return append(dst, s.seen.canary, s.seen.baseline)
}
