package analysis

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"streamcanary/windows"
)

// named is a window in which both versions of the rollout answered so often, and other ones.
func named(atMs, arms int64, others ...windows.HostCount) *windows.Part {
	p := &windows.Part{Stream: windows.Stream{Kind: windows.Serving}, StartMs: atMs, Others: others}
	p.Traffic[windows.Baseline].Events = arms
	return p
}

func TestOthers(t *testing.T) {
	var o Others
	o.Add(named(startMs, 90, windows.HostCount{Host: "V2", Events: 9}, windows.HostCount{Host: "v3", Events: 1}), 60_000)
	o.Add(&windows.Part{Stream: windows.Stream{Kind: windows.Resources}, Others: []windows.HostCount{{Host: "x", Events: 9}}}, 60_000)
	if have, want := o.List(), []OtherVersion{{"V2", .09}, {"v3", .01}}; !reflect.DeepEqual(have, want) {
		t.Errorf("%v, want %v", have, want)
	}
	if have, want := o.Alone(), []OtherVersion{{"V2", .9}, {"v3", .1}}; !reflect.DeepEqual(have, want) {
		t.Errorf("alone %v, want %v", have, want)
	}
	o.Add(named(startMs+60_000, 45), 60_000) // the next period: what was there counts half, and half of one is none
	if have, want := o.List(), []OtherVersion{{"V2", 4. / 94}}; !reflect.DeepEqual(have, want) {
		t.Errorf("%v, want %v", have, want)
	}
	o.Add(named(startMs+600_000, 45), 60_000)
	if list, text := o.List(), o.Text(); list != nil || text != "" {
		t.Errorf("after a long time %v, %q", list, text)
	}
}

// TestOthersBound: those beyond the bound are counted under no name, and few are told.
func TestOthersBound(t *testing.T) {
	var o Others
	for i := range 200 {
		o.Add(named(startMs, 0, windows.HostCount{Host: fmt.Sprint("build-", i, strings.Repeat("x", 200)), Events: 1}), 60_000)
	}
	list := o.List()
	if len(o.counts) != mostOthers+1 || len(list) != mostListed || list[0] != (OtherVersion{"", float64(200-mostOthers) / 200}) {
		t.Errorf("%d kept, %d told, first %v", len(o.counts), len(list), list[0])
	}
	if text := o.Text(); !strings.HasPrefix(text, "Other versions of the model answer: those that are not told apart (68 % of its predictions), \"build-0xxx") || !strings.HasSuffix(text, "(0.5 %) and more.") || len(text) > 300 {
		t.Errorf("%d bytes: %s", len(text), text)
	}
}

// TestOthersAllocate: windows without other versions cost nothing.
func TestOthersAllocate(t *testing.T) {
	var o Others
	p := named(startMs, 90)
	if n := testing.AllocsPerRun(100, func() { o.Add(p, 60_000) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestOthersAreNamed: where the split is not as planned, those that have some of the traffic are named.
func TestOthersAreNamed(t *testing.T) {
	s := newScript(t, inStages(rolloutOf(errors05), 5000), Options{Phi: 1})
	for range 300 {
		p := s.serving(side{n: 50}, side{n: 20})
		p.Others = []windows.HostCount{{Host: "V42", Events: 30}}
		s.verdict = s.judge.Step(p)
		s.atMs += s.judge.clock.widthMs
	}
	s.want(VerdictHold, codeSplitMismatch)
	const want = ` Other versions of the model answer: "V42" (30 % of its predictions).`
	if !strings.HasSuffix(s.verdict.Sentence, want) || !strings.HasSuffix(s.judge.plan.sentence(), want) || s.verdict.Action == VerdictRollback {
		t.Errorf("%s\nplan: %s", s.verdict.Sentence, s.judge.plan.sentence())
	}
}
