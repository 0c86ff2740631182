package serve

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"streamcanary/cmd/engine"
	"streamcanary/decisions"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// A Standing is where one rollout stands: what people and the health endpoints see.
type Standing struct {
	Rollout  string           `json:"rollout"`
	Model    string           `json:"model"`
	Baseline string           `json:"baseline"`
	Canary   string           `json:"canary"`
	Status   decisions.Status `json:"status"`
	Epoch    int64            `json:"epoch"`
	Seq      int64            `json:"seq"`
	Routes   []schemas.Route  `json:"routes,omitempty"`
	Waiting  []string         `json:"waiting,omitempty"` // for the answers of these consumers
	Stands   []string         `json:"stands,omitempty"`  // what people were told of, and that isn't over
	Undone   bool             `json:"undone,omitempty"`  // a rollback was decided, and is not yet carried out
	Retired  string           `json:"retired,omitempty"` // what the stream shows of the versions that are to have no users any more
	Lost     string           `json:"lost,omitempty"`    // why this process no longer decides for it
	// StandsBy: Lost is only that another process decides for it, and has done so for no longer than a deploy takes.
	StandsBy bool `json:"stands_by,omitempty"`
	// Refused says why the rollout is not judged at all, and Application whose request that was; nothing else is set then.
	Refused     string       `json:"refused,omitempty"`
	RefusedAt   schemas.Time `json:"refused_at,omitzero"` // where that is kept, and stays so until the rollout is applied again
	Application string       `json:"application,omitempty"`
	engine.Report
	Why *schemas.Reason `json:"why,omitempty"` // of the last decision but the start
	// Pillars is what was found of them since the start; Beyond are the limits that the baseline is beyond; Forward is the newest reason to roll forward, where that
	// is recommended, and ForwardToo are those before it that still stand.
	Pillars    []decisions.Watched `json:"pillars,omitempty"`
	Beyond     []decisions.Beyond  `json:"baseline_beyond,omitempty"`
	Forward    *schemas.Reason     `json:"forward,omitempty"`
	ForwardToo []schemas.Reason    `json:"forward_too,omitempty"`

	aside      bool                // another process decides for it; for the metrics
	cause      string              // of Lost, which others may share
	merger     windows.MergerStats // likewise
	recordedMs int64               // likewise: event time up to which the record goes, also where nothing of it is folded again
	serving    []string            // likewise: the versions that serve users although they are to have none
}

// board has the newest standing of every rollout, for other goroutines to read.
type board struct {
	mu      sync.Mutex
	all     []Standing
	refused []Standing // by rollout
	watch   func([]Standing)
	// catching is true until what there was before a restart is known again.
	catching atomic.Bool
	away     func() error // why nothing can be published, nil: it can; may be nil
}

// Standings returns them, by rollout.
func (b *board) Standings() []Standing {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.all)
}

// models are those of the rollouts that are judged.
func (b *board) models() []string {
	var models []string
	for _, s := range b.Standings() {
		models = append(models, s.Model)
	}
	slices.Sort(models)
	return slices.Compact(models)
}

// maxRefused bounds the rollouts that are kept as refused: whoever may write into the bucket can make up any number. What is beyond it stands in the log alone.
const maxRefused = 10_000

// refuse adds a rollout that is not judged, in place of what was refused under its name before.
func (b *board) refuse(s Standing) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, there := slices.BinarySearchFunc(b.refused, s.Rollout, byRollout)
	if there {
		b.refused[i] = s
		return
	}
	if len(b.refused) >= maxRefused {
		return
	}
	b.refused = slices.Insert(b.refused, i, s)
}

// accept forgets a refusal.
func (b *board) accept(rollout string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i, there := slices.BinarySearchFunc(b.refused, rollout, byRollout); there {
		b.refused = slices.Delete(b.refused, i, i+1)
	}
}

// refusal is why a rollout is not judged; "": it wasn't refused.
func (b *board) refusal(rollout string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i, there := slices.BinarySearchFunc(b.refused, rollout, byRollout); there {
		return b.refused[i].Refused
	}
	return ""
}

func byRollout(s Standing, rollout string) int { return strings.Compare(s.Rollout, rollout) }

// Everything is the standings, and then the rollouts that are not judged. A refused change of a judged rollout stands in both. While nothing can be published, nobody decides for those that haven't ended.
func (b *board) Everything() []Standing {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]Standing, 0, len(b.all)+len(b.refused)) // never nil: in JSON it is a list
	all = append(append(all, b.all...), b.refused...)
	if b.away == nil || b.away() == nil {
		return all
	}
	for i := range b.all {
		if all[i].Lost == "" && !all[i].Status.Ended() {
			all[i].Lost = b.away().Error()
		}
	}
	return all
}

// boardMost is how many reports are computed at a time, besides those of rollouts about which something was decided: intervals cost more than tests.
const boardMost = 10

// A shown report is what the board has of a desk, and of when it is.
type shown struct {
	report engine.Report
	epoch  int64
	seq    int64
	status decisions.Status
}

// isOld reports whether something was decided since the report.
func (d *desk) isOld() bool {
	state, s := &d.head.State, &d.shown
	return s.epoch != state.Epoch || s.seq != state.Seq || s.status != state.Status || s.report.Verdict == ""
}

// refresh computes the report anew.
func (d *desk) refresh() {
	state := &d.head.State
	report := d.fold.Report()
	report.Guardrails = append(report.Guardrails, state.AlertStatus()...)
	d.shown = shown{report, state.Epoch, state.Seq, state.Status}
}

// recorded is where a rollout stands by its record.
func recorded(r *schemas.Rollout, state *decisions.State) Standing {
	return Standing{
		Rollout: r.Name, Model: r.Model, Baseline: r.Baseline, Canary: r.Canary,
		Status: state.Status, Epoch: state.Epoch, Seq: state.Seq, Routes: state.Routes, Waiting: state.Missing(), Undone: state.Undone(),
		Stands: state.Stands(), Retired: state.RetiredText(), serving: state.RetiredServing(),
		Why: state.Why, recordedMs: state.EventMs,
		Pillars: state.Watched, Beyond: state.Beyond, Forward: state.Forward, ForwardToo: state.ForwardToo,
	}
}

// recordOf is where a rollout stands that this process doesn't know, since another one has begun it, by its record; false: there is none that can be read.
func recordOf(h *decisions.Head) (Standing, bool) {
	_, r, err := DecodeApplication(h.Applied)
	if err != nil || h.State.Status == decisions.StatusDeleted {
		return Standing{}, false
	}
	s := recorded(r, &h.State)
	who := "another one has begun it"
	if h.Writer != "" {
		who += " (" + h.Writer + ")"
	}
	s.StandsBy, s.Lost = true, fmt.Sprintf("This serve doesn't decide for rollout %s: %s. Ask that one; what is shown here is its record, without what is seen now", r.Name, who)
	return s, true
}

// show brings the board up to date: of many rollouts some reports at a time, by turns.
func (c *court) show() {
	if c.catching {
		return
	}
	all := []Standing{}
	names := sortedDesks(c.desks)
	for i := range min(boardMost, len(names)) {
		c.desks[names[(c.turn+i)%len(names)]].refresh()
	}
	c.turn += boardMost
	for _, name := range names {
		d := c.desks[name]
		if d.isOld() {
			d.refresh()
		}
		s := recorded(d.rollout, &d.head.State)
		s.Report, s.merger = d.shown.report, d.fold.MergerStats()
		if s.aside = c.standsAside(name); d.isLost() {
			s.Lost, s.StandsBy, s.cause = lostText(d), c.isBeside(name), d.cause()
		}
		all = append(all, s)
	}
	all = append(all, c.remembered()...)
	c.board.mu.Lock()
	c.board.all = all
	c.board.mu.Unlock()
	c.seen.standing(all)
	if c.board.watch != nil {
		c.board.watch(all)
	}
}
