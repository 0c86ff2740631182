package certify

import (
	"fmt"
	"strings"
	"time"

	"streamcanary/schemas"
)

// A Setting is one rollout of the battery: its guardrails, and the truth that lies exactly on their margins.
type Setting struct {
	Name       string
	guardrails string
	patience   string
	segments   int      // how many are watched
	stratify   bool     // contrasts within segments, too
	edge       Harm     // the canary at its margins; the zero value: no harm
	onMargin   []string // guardrails whose margin the edge is on
	gauges     *fleet   // who reports samples; nil: nobody does
	stages     string   // empty: one, of whatever share the world has
}

// The whole verdict's guardrails, at margins and at any.
var (
	atMargins = Setting{
		Name: "margins", patience: "never",
		guardrails: `
- {name: errors, rate: error, increase: 0.5pp, prove: beyond, weight: 3}
- {name: outage, rate: error, above: 60%}
- {name: timeouts, rate: timeout, increase: 0.2pp, prove: beyond}
- {name: hang, rate: timeout, above: 30%}
- {name: p99, quantile: 0.99, of: latency, increase: 20%, weight: 3}
- {name: crawl, quantile: 0.9, of: latency, increase: 100%}
- {name: shape, distribution: latency, test: ks, increase: 20%}
- {name: bulk, distribution: latency, test: mann-whitney, increase: 20%}
- {name: cpu, sample: cpu, limit: 0.9, increase: 5pp, on: hold}
- {name: load, mean: cpu, cap: 2, increase: 0.04, on: hold, required: false}
- {name: quality, mean: score, cap: 1, decrease: 0.04, required: false}
- {name: ctr, rate: click, decrease: 2%, prove: beyond, required: false}
- {name: sales, rate: purchase, decrease: 10%, prove: beyond, required: false}
- {name: revenue, mean: purchase, decrease: 10%, prove: beyond, required: false}
`,
		edge: Harm{
			Name: "on every margin", Slower: 1.2, Score: -.04,
			Plus:  map[string]float64{"error": .005, "timeout": .002},
			Times: map[string]float64{"click": .98, "purchase": .9},
		},
		onMargin: []string{"errors", "timeouts", "p99", "shape", "bulk", "cpu", "load", "quality", "ctr", "sales", "revenue"},
	}
	atAny = Setting{
		Name: "any", patience: "30m",
		guardrails: `
- {name: errors, rate: error, increase: any, weight: 3}
- {name: outage, rate: error, above: 60%}
- {name: timeouts, rate: timeout, increase: any}
- {name: hang, rate: timeout, above: 30%}
- {name: p99, quantile: 0.99, of: latency, increase: any, weight: 3}
- {name: crawl, quantile: 0.9, of: latency, increase: any}
- {name: shape, distribution: latency, test: ks, increase: any}
- {name: bulk, distribution: latency, test: mann-whitney, increase: any}
- {name: cpu, sample: cpu, limit: 0.9, increase: any, on: hold, required: false}
- {name: load, mean: cpu, cap: 2, increase: any, on: hold, required: false}
- {name: quality, mean: score, cap: 1, decrease: any, required: false}
- {name: ctr, rate: click, decrease: any, required: false}
- {name: sales, rate: purchase, decrease: any, required: false}
- {name: revenue, mean: purchase, decrease: any, required: false}
`,
	}
)

// allOn is a setting in which everything is watched: the two greatest segments and all others by every guardrail, and the hosts' samples.
func (s Setting) allOn() Setting {
	s.segments = 2
	s.gauges = &fleet{hosts: [2]int{24, 6}, every: 10, stagger: true, keeps: .9, above: .05}
	if s.edge.Name != "" {
		s.gauges.plus = .05
	}
	return s
}

// rollout is the setting's rollout for windows of this width, at this risk. It plans no share and takes no offence at a share that moves: the worlds' ramps
// are not its own.
func (s Setting) rollout(width time.Duration, falseRollback float64) *schemas.Rollout {
	stages := s.stages
	if stages == "" {
		stages = "[{bake: 1m, max: 240h}]"
	}
	r := mustParse(fmt.Sprintf(`
apiVersion: streamcanary.dev/v1
kind: Rollout
metadata: {name: certify}
spec:
  model: ranker
  baseline: {version: "41"}
  canary: {version: "42"}
  window: %s
  patience: %s
  risk: {falseRollback: %v, falsePromote: 0.05}
  outcomes: {click: {within: 20s}, purchase: {within: 20s, value: sum, cap: 200}}
  stages: %s
%s
  guardrails:%s
`, width, s.patience, falseRollback, stages, s.watched(), indented(s.guardrails)))
	r.Health.Traffic = schemas.OnWarn
	return r
}

// watched are the keys of segments.
func (s Setting) watched() string {
	switch {
	case s.segments == 0:
		return ""
	case s.stratify:
		return fmt.Sprintf("  segments: {watch: segment, top: %d}\n  stratify: segment", s.segments)
	}
	return fmt.Sprintf("  segments: {watch: segment, top: %d}", s.segments)
}

func indented(list string) string {
	return strings.ReplaceAll(strings.TrimRight(list, "\n"), "\n", "\n  ")
}

// mustParse reads a rollout of this package.
func mustParse(text string) *schemas.Rollout {
	r, err := schemas.ParseRollout("certify", []byte(text))
	if err != nil {
		panic(err)
	}
	return r
}
