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
	segments   int  // how many are watched
	stratify   bool // contrasts within segments, too
	edge       Harm // the canary at its margins; the zero value: no harm
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
- {name: ctr, rate: click, decrease: 2%, prove: beyond, required: false}
- {name: sales, rate: purchase, decrease: 10%, prove: beyond, required: false}
- {name: revenue, mean: purchase, decrease: 10%, prove: beyond, required: false}
`,
		edge: Harm{
			Name: "on every margin", Slower: 1.2,
			Plus:  map[string]float64{"error": .005, "timeout": .002},
			Times: map[string]float64{"click": .98, "purchase": .9},
		},
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
- {name: ctr, rate: click, decrease: any, required: false}
- {name: sales, rate: purchase, decrease: any, required: false}
- {name: revenue, mean: purchase, decrease: any, required: false}
`,
	}
)

// inSegments is a setting whose guardrails also watch the greatest segments; it leaves out those that add nothing but time.
func (s Setting) inSegments() Setting {
	s.Name += ", 2 segments"
	s.segments = 2
	var few []string
	for _, line := range strings.Split(s.guardrails, "\n") {
		if !strings.Contains(line, "distribution") && !strings.Contains(line, "above") {
			few = append(few, line)
		}
	}
	s.guardrails = strings.Join(few, "\n")
	return s
}

// rollout is the setting's rollout for windows of this width, at this risk. It plans no share and takes no offence at a share that moves: the worlds' ramps
// are not its own.
func (s Setting) rollout(width time.Duration, falseRollback float64) *schemas.Rollout {
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
  stages: [{bake: 1m, max: 240h}]
%s
  guardrails:%s
`, width, s.patience, falseRollback, s.watched(), indented(s.guardrails)))
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
