package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"streamcanary/cmd/serve"
	"streamcanary/loadgen"
	"streamcanary/schemas"
)

// demoScreen shows the demo: on a terminal the guardrails stay in place and change, elsewhere they come every few seconds.
type demoScreen struct {
	*console
	began  time.Time
	live   bool // a terminal
	height int  // lines of the block on the screen
	shown  time.Time
	mu     sync.Mutex
	share  float64 // the router's

	rollback *schemas.Decision // what was seen to happen: decided,
	acked    bool              // obeyed by the router,
	drained  bool              // no canary left in a window of the stream with traffic,
	complete *schemas.Notice   // and said to be carried out
}

func newDemoScreen(c *console, began time.Time, terminal bool) *demoScreen {
	return &demoScreen{console: c, began: began, live: terminal && !c.json}
}

// broken is why nothing can be printed any more; nil: it can.
func (s *demoScreen) broken() error {
	if b, is := s.out.(*brokenOnce); is {
		return b.err
	}
	return nil
}

func (s *demoScreen) shareNow() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.share
}

// say prints one line of the story.
func (s *demoScreen) say(format string, args ...any) {
	if s.json {
		return
	}
	s.wipe()
	fmt.Fprintf(s.out, "%5.1f s  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// The block of guardrails must have as many lines on the screen as it was printed with, or it can't be taken away again: so a terminal that
// is too narrow for it cuts its lines off, and doesn't wrap them. It writes all that is cut off into its last column, which is wiped.
const (
	cutLines  = "\x1b[?7l"
	wrapLines = "\x1b[?7h"
	wipeRest  = "\x1b[K"
)

// wipe takes the block away.
func (s *demoScreen) wipe() {
	if s.height > 0 {
		fmt.Fprintf(s.out, "\x1b[%dA\x1b[J", s.height)
		s.height = 0
	}
}

func (s *demoScreen) addresses(a *serve.Addresses) {
	if s.json {
		demoLine(s.console, "addresses", a)
		return
	}
	s.say("embedded kafka %s, nats %s; metrics at http://%s/metrics", a.Kafka[0], a.NATS[0], a.HTTP)
	s.say("rollout demo applied: canary v42 against baseline v41 of model ranker")
}

// standingEvery is how often guardrails are printed where lines can't be changed any more.
const standingEvery = 5 * time.Second

func (s *demoScreen) standing(all []serve.Standing) {
	if len(all) == 0 || all[0].Windows == 0 {
		return
	}
	x := &all[0]
	s.drained = s.drained || s.rollback != nil && x.Served.Baseline > 0 && x.Served.Canary == 0
	if s.json {
		demoLine(s.console, "standing", x)
		return
	}
	if !s.live && time.Since(s.shown) < standingEvery {
		return
	}
	s.shown = time.Now()
	var b strings.Builder
	fmt.Fprintf(&b, "  event time %s, canary %.1f %% of the last window, status %s\n", x.Reached, shareOf(x), x.Status)
	var table strings.Builder
	if err := printGuardrails(&table, busy(x.Guardrails)); err == nil {
		for line := range strings.Lines(table.String()) {
			b.WriteString("  " + line)
		}
	}
	s.wipe()
	if !s.live {
		fmt.Fprint(s.out, b.String())
		return
	}
	fmt.Fprint(s.out, cutLines+strings.ReplaceAll(b.String(), "\n", wipeRest+"\n")+wrapLines)
	s.height = strings.Count(b.String(), "\n")
}

// busy leaves out the guardrails that have no data.
func busy(all []schemas.GuardrailStatus) []schemas.GuardrailStatus {
	var some []schemas.GuardrailStatus
	for _, g := range all {
		if g.Canary.N > 0 {
			some = append(some, g)
		}
	}
	return some
}

func shareOf(x *serve.Standing) float64 {
	all := x.Served.Baseline + x.Served.Canary
	if all == 0 {
		return 0
	}
	return 100 * float64(x.Served.Canary) / float64(all)
}

func (s *demoScreen) decision(d *schemas.Decision) {
	if s.json {
		demoLine(s.console, "decision", d)
	}
	s.say("%s%s: %s", strings.ToUpper(string(d.Action)), phase(d), d.Reason.Sentence)
	for line := range strings.Lines(exemplarLines("", d.Reason.Guardrails)) {
		s.say("%s", strings.TrimSpace(line))
	}
	if d.Action == schemas.ActionRollback && s.rollback == nil { // those that follow are its steps
		s.rollback = d
	}
}

func (s *demoScreen) route(r *demoRoute) {
	if s.json {
		demoLine(s.console, "route", map[string]any{"decision": r.decision.ID, "canary_share": r.share})
	}
	s.say("the router sends %.0f %% to the canary, and acknowledges decision %d", 100*r.share, r.decision.Seq)
	s.acked = s.acked || r.decision.Action == schemas.ActionRollback && r.share == 0
}

func (s *demoScreen) stored(what string) {
	if s.json {
		demoLine(s.console, "store", what)
	}
	s.say("%s", what)
}

// missing says what hasn't happened yet; "" is nothing.
func (s *demoScreen) missing() string {
	switch {
	case s.rollback == nil:
		return "no rollback was decided"
	case !s.acked:
		return "the router did not obey the rollback"
	case !s.drained:
		return "the canary did not drain from the stream"
	case s.complete == nil:
		return "the rollback was not said to be carried out"
	}
	return ""
}

func (s *demoScreen) notice(n *schemas.Notice) {
	if s.json {
		demoLine(s.console, "notice", n)
	}
	s.say("event %s: %s", n.Kind, n.Sentence)
	if n.Kind == schemas.NoticeRollbackCompleted {
		s.complete = n
	}
}

// wrong says why what happened isn't what should have; nil: it is.
func (s *demoScreen) wrong(truth loadgen.Truth) error {
	t := s.complete.Times
	switch {
	case t == nil || s.complete.Outcome != schemas.OutcomeDone:
		return fmt.Errorf("the rollback is said to be carried out, but that is not proven (outcome %s)", s.complete.Outcome)
	case t.Detected < truth.Onset:
		return fmt.Errorf("a healthy canary was rolled back: detected at %s, harm began at %s", t.Detected, truth.Onset)
	case !provenBy(s.rollback, truth.Fail):
		return fmt.Errorf("the canary was rolled back for another harm than the scenario's (%s): %s", strings.Join(truth.Fail, ", "), s.rollback.Reason.Sentence)
	}
	return nil
}

// provenBy says whether a decision stands on a failed guardrail of these names.
func provenBy(d *schemas.Decision, names []string) bool {
	return slices.ContainsFunc(d.Reason.Guardrails, func(g schemas.GuardrailStatus) bool {
		return g.State == schemas.StateFailed && slices.Contains(names, g.Name)
	})
}

// times prints the end: when each thing happened, after the true onset.
func (s *demoScreen) times(t *schemas.RollbackTimes, onset schemas.Time) {
	if s.json {
		demoLine(s.console, "summary", map[string]any{"ok": true, "harm_began_true": onset, "harm_began": t.HarmBegan,
			"detected": t.Detected, "decided": t.Decided, "acked": t.Acked, "drained": t.Drained})
		return
	}
	s.wipe()
	rows := []struct {
		what string
		at   schemas.Time
	}{
		{"harm began (true)", onset}, {"harm began (estimated)", t.HarmBegan}, {"detected (event time)", t.Detected},
		{"decided", t.Decided}, {"acknowledged", t.Acked}, {"drained (event time)", t.Drained},
	}
	fmt.Fprintln(s.out)
	for _, r := range rows {
		fmt.Fprintf(s.out, "  %-24s %s  %+.1f s\n", r.what, r.at, float64(r.at-onset)/1000)
	}
}
