package analysis

import (
	"fmt"

	"streamcanary/schemas"
	"streamcanary/windows"
)

const (
	codeShadowUsers = "shadow_users"

	// shadowUsersLeast is how many predictions for users tell that a shadow serves them: a few are somebody's test.
	shadowUsersLeast = 20
)

// shadowUsers watches a shadow stage for users whom the canary answers: predictions that are no copies, where none are planned. A router that sends them, and a mirror whose copies aren't
// marked as such, look the same.
//
// A stretch is told when there were shadowUsersLeast of them, over health.silent at least. It ends when none has come for health.noData of windows in which the baseline is
// heard. It is counted and not tested: one is more than is planned. While it lasts nothing counts towards a pass, as the stage is to show what copies show; nor does a window of before
// it in which there is one. Harm counts all the same.
type shadowUsers struct {
	judge       *Judge
	serving     *stream
	fromMs      int64 // start of the stretch; 0: none has come
	canary, all int64 // predictions for users in it: the canary's, and both versions'
	quiet       int64 // ms of windows since one came, in which the baseline is heard
	off         bool
}

var _ = registerHealth(healthKind{name: "users of a shadow", rank: 33, checks: func(j *Judge) []check {
	if j.stages.share(0) == 0 {
		return nil
	}
	j.users = &shadowUsers{judge: j, serving: j.stream(servingStream)}
	return []check{j.users}
}})

// renew begins a stage; nil is no check.
func (k *shadowUsers) renew() {
	if k != nil {
		*k = shadowUsers{judge: k.judge, serving: k.serving}
	}
}

// watches reports whether a part of a stage is of a shadow, and from when its copies were due: what was before goes by another plan. In a replay nothing is due.
func (k *shadowUsers) watches(stage int, startMs int64) bool {
	if k == nil {
		return false
	}
	j := k.judge
	return j.stages.all[stage].Shadow() && j.arrival.dueMs > 0 && startMs >= j.arrival.dueMs
}

// spoils reports whether a part proves no pass: it has this many predictions for users, or outcomes of them, or users are known to reach the canary.
func (k *shadowUsers) spoils(of *stream, p *windows.Part, canary int64) bool {
	return k.watches(of.stage, p.StartMs) && (canary > 0 || k.off)
}

func (k *shadowUsers) take(p *windows.Part, _ feeding, c clock) {
	if p.Kind != windows.Serving || k.serving.stage != k.judge.stages.now || !k.watches(k.serving.stage, p.StartMs) {
		return
	}
	canary, baseline := &p.Traffic[windows.Canary], &p.Traffic[windows.Baseline]
	switch {
	case canary.Served > 0 && k.fromMs == 0:
		k.fromMs, k.quiet = p.StartMs, 0
	case canary.Served > 0:
		k.quiet = 0
	case k.fromMs == 0:
		return
	case baseline.Events > 0:
		k.quiet += c.widthMs
	}
	a := &k.judge.arrival
	if k.quiet >= a.noData {
		k.renew()
		return
	}
	k.canary += canary.Served
	k.all += canary.Served + baseline.Served
	k.off = k.off || k.canary >= shadowUsersLeast && p.StartMs+c.widthMs-k.fromMs >= a.silent
}

// reached reports whether users are known to reach a shadow; nil is no check.
func (k *shadowUsers) reached() bool { return k != nil && k.off }

func (k *shadowUsers) sick() bool { return k.off }

func (k *shadowUsers) holds() bool { return false }

func (k *shadowUsers) alpha() float64 { return 0 }

func (k *shadowUsers) code() string { return codeShadowUsers }

func (k *shadowUsers) finding() schemas.Finding {
	return schemas.Finding{Code: codeShadowUsers, Since: schemas.Time(k.fromMs), Sentence: k.sentence()}
}

// sentence is what is planned and what is seen, what that means, and what to do.
func (k *shadowUsers) sentence() string {
	j := k.judge
	return fmt.Sprintf("%s has answered users since %s, in a stage that plans only copies for it: planned no user, observed %s of the users' requests. "+
		"Nothing counts towards a pass until none reaches it; harm counts all the same. "+
		"Look whether the router sends it users, and whether its events say \"shadow\": true of copies: one without that is taken for a user's.",
		capital(j.arm(windows.Canary)), timeText(k.fromMs, j.nowMs), percentText(float64(k.canary)/float64(k.all)))
}

func (k *shadowUsers) evidence(dst []float64) []float64 { return dst }
