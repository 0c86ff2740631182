package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"streamcanary/cmd/serve"
	"streamcanary/decisions"
	"streamcanary/schemas"
)

// TestShowTellsOfSkew: of now while the service answers, else what the record has; for people and for machines, with what differs between the versions.
func TestShowTellsOfSkew(t *testing.T) {
	held := decisions.NewPillar(decisions.PillarFeatures, decisions.PillarHeld, nil).Changed([]string{"feature dwell_time was dropped"})
	h := &decisions.Head{State: decisions.State{
		Epoch: 1, Status: decisions.StatusRunning, Pillars: []decisions.Pillar{held},
		Why:  &schemas.Reason{Code: "undecided", Sentence: "Nothing."},
		Skew: &schemas.Skew{KS: 0.5, PSI: 0.125, Online: 7, Offline: 1000},
	}}
	live := &serve.Standing{Epoch: 1}
	live.Skew = &schemas.Skew{KS: 0.25, PSI: 0.5, Proven: true, Since: 1_700_000_000_000, Online: 400, Offline: 1000}
	for _, test := range []struct {
		live *serve.Standing
		want string
	}{
		{live, "scores online against offline (nothing is decided by it): KS 0.25, proven; PSI 0.50, much by the usual reading, since 2023-11-14T22:13:20.000Z; 400 online, 1000 offline\n"},
		{nil, "scores online against offline (nothing is decided by it): KS 0.50, not proven; PSI 0.12, some by the usual reading; 7 online, 1000 offline\n"},
	} {
		v := viewOf(h, test.live)
		var out bytes.Buffer
		if err := printView(&out, &v); err != nil || !strings.HasSuffix(out.String(), test.want) || !strings.Contains(out.String(), "pillar features: held\n  changed: feature dwell_time was dropped\n") {
			t.Errorf("%v\n%s\nwant at its end %s", err, out.String(), test.want)
		}
		body, err := json.Marshal(v)
		if err != nil || !strings.Contains(string(body), `"skew":{"ks":0.`) || !strings.Contains(string(body), `"changes":["feature dwell_time was dropped"]`) {
			t.Errorf("%v\n%s", err, body)
		}
	}
	var out bytes.Buffer
	if printSkew(&out, nil); out.Len() > 0 {
		t.Errorf("of nothing: %q", out.String())
	}
}

// TestSkewBesideADecision: a decision that doesn't say so itself has what is proven on a line below.
func TestSkewBesideADecision(t *testing.T) {
	d := &schemas.Decision{Action: schemas.ActionRollback}
	d.Reason.Skew = &schemas.Skew{KS: 0.25, PSI: 0.5, Proven: true, Online: 400}
	if got, want := skewLine("  ", d), "  scores online differ from those offline (KS 0.25, proven; PSI 0.50)\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	d.Action = schemas.ActionRollForward
	if got := skewLine("  ", d); got != "" {
		t.Errorf("twice: %q", got)
	}
	d.Action, d.Reason.Skew.Proven = schemas.ActionRollback, false
	if got := skewLine("  ", d); got != "" {
		t.Errorf("what isn't proven: %q", got)
	}
}
