package engine

import (
	"fmt"
	"testing"

	"streamcanary/decisions"
	"streamcanary/schemas"
	"streamcanary/windows"
)

const vigilRollout = `apiVersion: streamcanary.dev/v1
kind: Rollout
metadata: {name: ranker-42}
spec:
  model: ranker
  baseline: {version: v1, where: {host: "stable-*"}}
  canary: {version: v2}
  outcomes: {click: {within: 10s}}
  segments: {list: [de, fr]}
  guardrails:
    - {name: errors, rate: error, increase: 1pp}
    - {name: ctr, rate: click, decrease: 2%}
    - {name: cpu, sample: cpu, limit: 0.9, increase: 5pp}
`

// TestVigilOfLimits: after a rollback, and not after a promotion, it counts what the baseline's absolute limits need, too, and tells that it is beyond one.
func TestVigilOfLimits(t *testing.T) {
	r, err := schemas.ParseRollout("ranker-42.yaml", []byte(vigilRollout+"    - {name: outage, rate: error, above: 5%}\n"))
	if err != nil {
		t.Fatal(err)
	}
	r.Phi = 1
	if promoted := VigilOf(r, true, 3, 0); promoted.Metrics != nil {
		t.Errorf("after a promotion it counts %v", promoted.Metrics)
	}
	at, plan := windows.Partition{Topic: "predictions"}, VigilOf(r, false, 3, 0)
	if len(plan.Streams()) != 1 || plan.Check() != nil || len(plan.Metrics) == 0 {
		t.Fatalf("it counts %v in %v (%v)", plan.Metrics, plan.Streams(), plan.Check())
	}
	v := NewVigil(r, false, plan, []windows.Partition{at})
	var told []decisions.Beyond
	for second := range int64(60) {
		part := &windows.Part{Stream: windows.Stream{Kind: windows.Serving}, StartMs: second * 1000}
		part.Traffic[windows.Baseline] = windows.Traffic{Events: 100, Served: 100, SampledMin: 1, SampledMax: 1}
		part.Cells[windows.Baseline] = make([]windows.Cell, len(plan.Metrics))
		part.Cells[windows.Canary] = make([]windows.Cell, len(plan.Metrics))
		for i := range plan.Metrics {
			part.Cells[windows.Baseline][i] = windows.Cell{N: 100, K: 30}
		}
		if err := v.Add(windows.Key{Rollout: r.Name, Epoch: 3, Plan: plan.Hash(), Partition: at, Stream: part.Stream, StartMs: part.StartMs}, part); err != nil {
			t.Fatal(err)
		}
		told = v.Next().Beyond
	}
	if len(told) != 1 || told[0].Guardrail != "outage" || !told[0].Proven {
		t.Errorf("told %+v", told)
	}
}

// TestVigil: it counts who serves and nothing else, and the version that is to have no users is the canary of its windows.
func TestVigil(t *testing.T) {
	r, err := schemas.ParseRollout("ranker-42.yaml", []byte(vigilRollout))
	if err != nil {
		t.Fatal(err)
	}
	at := windows.Partition{Topic: "predictions"}
	for _, promoted := range []bool{false, true} {
		plan, judged := VigilOf(r, promoted, 3, 10_000), PlanOf(r, 3, 10_000)
		v := NewVigil(r, promoted, plan, []windows.Partition{at})
		want := [2]string{"v1", "v2"}
		if promoted {
			want = [2]string{"v2", "v1"}
		}
		if versions := [2]string{plan.Baseline, plan.Canary}; versions != want || len(plan.Streams()) != 1 || plan.Check() != nil || v.Counts(&windows.Key{Plan: judged.Hash()}) {
			t.Errorf("promoted %t: it counts %v in %v (%v), want %v", promoted, versions, plan.Streams(), plan.Check(), want)
		}
		if picks := plan.Where[windows.Baseline].Of("v1") != "v1"; picks == promoted {
			t.Errorf("promoted %t: the versions' parts are %v", promoted, plan.Where)
		}
		part := &windows.Part{Stream: windows.Stream{Kind: windows.Serving}, StartMs: 10_000}
		part.Traffic[windows.Baseline] = windows.Traffic{Events: 90, Served: 90}
		part.Others = []windows.HostCount{{Host: "v3", Events: 5}}
		part.OtherHosts = []windows.HostCount{{Events: 1}, {Host: windows.OtherHost("v3", "c"), Events: 4}}
		part.Traffic[windows.Canary] = windows.Traffic{Events: 12, Served: 10, Hosts: []windows.HostCount{{Host: "a", Events: 1}, {Host: "b", Events: 2}}}
		for n := range decisions.MaxFlows {
			part.Traffic[windows.Canary].Hosts = append(part.Traffic[windows.Canary].Hosts, windows.HostCount{Host: fmt.Sprint("c", n), Events: 1})
		}
		if err := v.Add(windows.Key{Rollout: r.Name, Epoch: 3, Plan: plan.Hash(), Partition: at, Stream: part.Stream, StartMs: part.StartMs}, part); err != nil {
			t.Fatal(err)
		}
		w := v.Next()
		if w == nil || w.Baseline != 90 || w.Canary != 10 || w.EndMs != 11_000 || len(w.Hosts) != decisions.MaxFlows+2 || w.Hosts[0] != (decisions.Flow{Host: "b", Predictions: 2}) || len(w.Others) != 1 || w.Others[0] != (decisions.VersionFlow{Version: "v3", Predictions: 5}) ||
			len(w.OtherHosts) != 1 || w.OtherHosts[0] != (decisions.HostFlow{Version: "v3", Flow: decisions.Flow{Host: "c", Predictions: 4}}) || v.Next() != nil {
			t.Errorf("promoted %t: %+v", promoted, w)
		}
	}
}
