package certify

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func TestMarkdown(t *testing.T) {
	row := func(experiment, method string, alpha float64, count int, result Result) Row {
		return Row{Group: "type-I", Experiment: experiment, Method: method, Measure: "alarms", Alpha: alpha, Runs: 100, Count: count, Limit: 10, Result: result}
	}
	r := Report{Seed: 4, Rows: []Row{
		row("flat", "ours", .05, 3, Kept), row("flat", "ours", .01, 1, Kept), row("flat", "theirs", .05, 60, Beyond), row("flat", "theirs", .01, 30, Beyond),
		row("ramp", "ours", .05, 20, Broken),
		{Group: "delay", Experiment: "errors", Method: "ours", Measure: "mean", Runs: 9, Value: number(1.461), Upper: number(1.6), Bound: number(1.9), Unit: "times", Result: Kept},
		{Group: "delay", Experiment: "errors", Method: "theirs", Measure: "mean", Runs: 9, Value: number(math.Inf(1)), Result: Figures},
	}}
	var b strings.Builder
	if err := r.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	const want = "# What streamcanary was measured to do\n" + `
Seed 4. ` + "`streamcanary certify`" + ` makes this table; every number is of this run.
A share in **bold** is beyond its limit; ` + "`!`" + ` marks one where this product promises that it is not.

## type-I: alarms

At each alpha: 0.05 / 0.01. 100 runs.

| experiment | ours | theirs |
|---|---|---|
| flat | 0.030 / 0.010 | **0.600** / **0.300** |
| ramp | **0.200**! |  |

## delay: mean

9 runs.

| experiment | ours | theirs |
|---|---|---|
| errors | 1.46 (≤ 1.6) times | never |

## Not kept

- type-I/ramp: ours: alarms 20 of 100, the limit is 10
`
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	data, err := json.Marshal(r.Rows[6])
	if err != nil || !strings.Contains(string(data), `"value":"never"`) {
		t.Errorf("JSON %s, %v", data, err)
	}
}
