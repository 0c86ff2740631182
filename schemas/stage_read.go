package schemas

import (
	"math"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
)

// allBP is all of the traffic, in basis points.
const allBP = 10000

// readStages fills in the stages: those of the file, else one of the defaults.
func (rr *rolloutReader) readStages() {
	r := rr.rollout
	if n := child(rr.spec.node, "stages"); n != nil && n.Kind == yaml.ScalarNode {
		r.External = n.Value == externalWord
		standing := rr.spec.field("stages")
		r.Stages = []Stage{rr.readStage(section{rr.spec.problems, defaultNode("{}"), standing.form.item, "spec.stages"})}
		return
	}
	all := rr.spec.items("stages")
	for i, s := range all {
		if rr.promotes(s) {
			rr.readPromotion(s, i, len(all))
			continue
		}
		r.Stages = append(r.Stages, rr.readStage(s))
		if i == 0 || all[i-1].sound() { // else nothing is known of the one before
			rr.checkOrder(s, i)
		}
	}
	if len(r.Stages) > 0 && len(all) > 0 && !slices.ContainsFunc(r.Stages, func(s Stage) bool { return !s.Shadow() }) {
		all[0].refuse("weight", "0 in every stage: a canary that answers nobody proves nothing of its users' errors and clicks: add a stage with a weight")
	}
}

// promotes says whether a stage is the last one, in which the canary gets all traffic, or all but a holdback.
func (rr *rolloutReader) promotes(s section) bool {
	return s.sound() && s.given("weight") && s.number("weight") >= 100
}

// readPromotion reads the stage with weight: 100. With a watch it is judged, against what stays at the baseline.
func (rr *rolloutReader) readPromotion(s section, at, count int) {
	r := rr.rollout
	switch {
	case at < count-1:
		s.refuse("weight", "100 leaves nothing for the stages after it: let it be the last one, or write less than 100")
		return
	case len(r.Stages) == 0:
		s.refuse("weight", "100 in the only stage leaves no baseline to compare with: begin with a stage of less, e.g. stages: [{weight: 10}, {weight: 100, watch: 24h}]")
		return
	}
	for _, key := range []string{"bake", "pass", "max", "then", "mirror"} {
		if s.given(key) {
			s.refuse(key, "a stage of weight: 100 is promoted to, and nothing has to pass in it: remove the key (watch: 24h would go on judging against a holdback)")
		}
	}
	if !s.given("watch") {
		r.ApprovePromotion = s.flag("approve")
		if s.given("holdback") {
			s.refuse("holdback", "nothing is judged in this stage that it could be held back for: add watch: 24h, or remove the key")
		}
		return
	}
	if r.Stages[len(r.Stages)-1].WeightBP == 0 {
		s.refuse("watch", "the stages before plan no weight, so nothing moves the traffic to a holdback: give each a weight, or remove the key")
	}
	holdback := rr.basisPoints(s, "holdback")
	r.Stages = append(r.Stages, Stage{WeightBP: allBP - holdback, Watch: s.duration("watch"), Then: OnHold, Approve: s.flag("approve")})
}

// basisPoints reads percents that must be whole basis points.
func (rr *rolloutReader) basisPoints(s section, key string) int {
	bp := s.number(key) * 100
	if math.Abs(bp-math.Round(bp)) > 1e-6 {
		s.refuse(key, "%s percent is finer than 0.01: round it", s.text(key))
	}
	return int(math.Round(bp))
}

func (rr *rolloutReader) readStage(s section) Stage {
	stage := Stage{
		WeightBP: int(math.Round(s.number("weight") * 100)), Bake: s.duration("bake"), Pass: s.texts("pass"),
		Max: s.duration("max"), Then: On(s.text("then")), Approve: s.flag("approve"),
	}
	if !rr.spec.given("stages") || rr.rollout.External {
		s = section{s.problems, rr.spec.node, s.form, s.path}
	}
	if !s.sound() {
		return stage
	}
	rr.basisPoints(s, "weight")
	for _, key := range []string{"watch", "holdback"} {
		if s.given(key) {
			s.refuse(key, "only a promotion is watched against a holdback: move it to a last stage with weight: 100, or remove it")
		}
	}
	switch shadow := s.given("weight") && s.number("weight") == 0; {
	case shadow:
		stage.MirrorBP = rr.basisPoints(s, "mirror")
		rr.checkShadow(s, stage)
	case s.given("mirror"):
		s.refuse("mirror", "only a stage with weight: 0 sends copies to the canary: write weight: 0, or remove the key")
	}
	rr.checkPass(s, stage)
	rr.checkMax(s, stage)
	return stage
}

// checkShadow refuses what copies can't show.
func (rr *rolloutReader) checkShadow(s section, stage Stage) {
	if !rr.guardrailsSound() {
		return
	}
	for _, g := range rr.rollout.Guardrails {
		if g.IsOutcome() && (slices.Contains(stage.Pass, g.Name) || stage.Pass == nil && g.Required) {
			s.refuse("pass", "guardrail %s counts what users do, and no user sees a copy's answer: name the others here", g.Name)
		}
	}
	if rr.rollout.Picks() {
		s.refuse("weight", "0 beside where: what is copied is of a whole version: remove where, or write a weight")
	}
}

// checkOrder refuses stages that can't follow each other.
func (rr *rolloutReader) checkOrder(s section, at int) {
	stages := rr.rollout.Stages
	if at == 0 {
		if stages[0].Approve {
			s.refuse("approve", "the first stage begins with `rollout apply`, which a person gives: remove the key")
		}
		return
	}
	if len(stages) < 2 || !s.sound() {
		return
	}
	before, here := stages[len(stages)-2], stages[len(stages)-1]
	plans := func(x Stage) bool { return x.WeightBP > 0 || x.Shadow() }
	switch {
	case plans(before) != plans(here):
		s.refuse("weight", "either every stage has a weight or none has: the traffic's split is held against a plan, or against what was observed")
	case here.WeightBP < before.WeightBP:
		s.refuse("weight", "%s is less than in the stage before: stages go up; less traffic is what a rollback is for", s.text("weight"))
	}
}

// checkPass refuses names that no guardrail has, and a stage that nothing has to pass.
func (rr *rolloutReader) checkPass(s section, stage Stage) {
	if !rr.guardrailsSound() {
		return
	}
	someRequired := false
	for _, g := range rr.rollout.Guardrails {
		someRequired = someRequired || g.Required
	}
	for _, name := range stage.Pass {
		g, found := rr.rollout.guardrail(name)
		if rr.rollout.isExternal(name) {
			s.refuse("pass", "guardrail %s is from outside: an alert that doesn't fire proves nothing, and one that fires ends no stage anyway: don't name it", name)
		} else if !found {
			s.refuse("pass", "no guardrail is called %q: %s", name, suggest(name, rr.rollout.guardrailNames()))
		} else if !g.CanPass() {
			s.refuse("pass", "guardrail %s has no margin that harm could be proven to keep, so it never passes: give it one, or don't name it", name)
		}
	}
	if twice := repeatedText(stage.Pass); twice != "" {
		s.refuse("pass", "%s is named twice: remove one", twice)
	}
	switch {
	case stage.Pass != nil || someRequired:
	case !rr.spec.given("stages"):
		rr.spec.refuse("guardrails", "none is required, so nothing would have to pass before a promotion: make one required: true, or name some with stages: [{pass: [a, b]}]")
	default:
		s.refuse("pass", "no guardrail is required, so nothing would have to pass: name some here, or make one required")
	}
}

// checkMax refuses a stage that ends before what must pass can have passed.
func (rr *rolloutReader) checkMax(s section, stage Stage) {
	if !rr.guardrailsSound() {
		return
	}
	least, why := stage.Bake, "bake "+FormatDuration(stage.Bake)
	for _, g := range rr.rollout.Guardrails {
		mustPass := slices.Contains(stage.Pass, g.Name) || stage.Pass == nil && g.Required
		o, isOutcome := rr.outcomes[g.Of]
		if !mustPass || !g.IsOutcome() || !isOutcome || o.Within <= least-stage.Bake {
			continue
		}
		least = stage.Bake + o.Within
		why = "bake " + FormatDuration(stage.Bake) + " plus the " + FormatDuration(o.Within) + " within which a " + o.Name + " of guardrail " + g.Name + " counts"
	}
	switch {
	case stage.Max >= least:
	case !rr.spec.given("stages") || rr.rollout.External:
		rr.spec.refuse("stages", "without stages there is one of at most %s, which is shorter than %s: write stages: [{max: %s}], or more, or let a stage's pass name only what can be ready by then",
			FormatDuration(stage.Max), why, FormatDuration(max(least, time.Second)))
	default:
		s.refuse("max", "%s is shorter than %s: write max: %s or more, or let pass name only what can be ready by then",
			FormatDuration(stage.Max), why, FormatDuration(max(least, time.Second)))
	}
}
