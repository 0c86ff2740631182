package decisions

import (
	"encoding/binary"
	"math"

	"streamcanary/schemas"
)

// AppendDigest appends a decision's canonical bytes for the digest: its action, phase, stage, rollout, model, epoch, seq, routes,
// reason and event time, and nothing else (no wall time, program, offset, key or hash, and nothing that is only shown: exemplars, whether bounds crossed, and the difference beside a ratio). Texts and lists carry their length, integers
// are zigzag varints, and real numbers are rounded to 1e-9 (an absent one differs from 0). What is known of a cause (skew, changes) has no bytes where there is nothing.
func AppendDigest(dst []byte, d *schemas.Decision) []byte {
	w := digest{dst}
	w.text(string(d.Action))
	w.text(string(d.Phase))
	w.number(int64(d.Stage))
	w.text(d.Rollout)
	w.text(d.Model)
	w.number(d.Epoch)
	w.number(d.Seq)
	w.number(int64(len(d.Routes)))
	for _, r := range d.Routes {
		w.text(r.Version)
		w.number(int64(r.WeightBP))
		w.number(int64(r.MirrorBP))
	}
	w.reason(&d.Reason)
	w.number(int64(d.EventTime))
	return w.b
}

// digest writes canonical bytes.
type digest struct{ b []byte }

func (w *digest) number(n int64) { w.b = binary.AppendVarint(w.b, n) }

func (w *digest) text(s string) {
	w.b = binary.AppendUvarint(w.b, uint64(len(s)))
	w.b = append(w.b, s...)
}

// real writes a number rounded to 1e-9; one too large for that, or not finite, by its bits.
func (w *digest) real(x float64) {
	if math.Abs(x) < 1<<32 {
		w.b = append(w.b, 'r')
		w.number(int64(math.RoundToEven(x * 1e9)))
		return
	}
	w.b = append(w.b, 'b')
	w.b = binary.BigEndian.AppendUint64(w.b, math.Float64bits(x))
}

func (w *digest) maybe(x *float64) {
	if x == nil {
		w.b = append(w.b, 'n')
		return
	}
	w.real(*x)
}

func (w *digest) reason(r *schemas.Reason) {
	w.text(r.Code)
	w.text(r.Sentence)
	w.number(int64(len(r.Guardrails)))
	for i := range r.Guardrails {
		w.guardrail(&r.Guardrails[i])
	}
	w.number(int64(len(r.Health)))
	for _, f := range r.Health {
		w.text(f.Code)
		w.text(f.Sentence)
		w.real(f.LogEvidence)
		w.real(f.Threshold)
		w.number(int64(f.Since))
	}
	w.known(r)
}

// known writes what is known of a cause, where there is something.
func (w *digest) known(r *schemas.Reason) {
	if k := r.Skew; k != nil {
		w.tag('w')
		for _, x := range []float64{k.KS, k.PSI, k.LogEvidence, k.Threshold, k.Slack} {
			w.real(x)
		}
		for _, n := range []int64{truth(k.Proven), int64(k.Since), k.Online, k.Offline} {
			w.number(n)
		}
	}
	if len(r.Changes) > 0 {
		w.tag('d')
		w.number(int64(len(r.Changes)))
		for _, text := range r.Changes {
			w.text(text)
		}
	}
}

func truth(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

// tag begins a field that is not always there.
func (w *digest) tag(letter byte) { w.b = append(append(w.b, addition...), letter) }

func (w *digest) guardrail(g *schemas.GuardrailStatus) {
	for _, s := range []string{g.Name, g.Segment, string(g.State), g.Why, string(g.On), string(g.Against), g.Unit, g.Margin} {
		w.text(s)
	}
	for _, x := range []*float64{g.Estimate, g.Lower, g.Upper, g.SinceHarm} {
		w.maybe(x)
	}
	w.interval(g.Ratio)
	for _, x := range []float64{g.LogEvidence, g.LogAny, g.LogPass, g.Threshold, g.PassThreshold, g.Phi} {
		w.real(x)
	}
	for _, a := range []*schemas.ArmCount{&g.Baseline, &g.Canary} {
		w.number(a.N)
		w.number(a.Events)
		w.maybe(a.Value)
	}
	for _, at := range []schemas.Time{g.HarmBegan, g.FirstWindow, g.LastWindow} {
		w.number(int64(at))
	}
	w.additions(g)
}

// addition begins a field that most statuses don't have. No text and no number of this encoding begins with it, since a varint never ends in
// an idle zero: so a status without the field has the bytes that it had before there was such a field.
var addition = []byte{0xff, 0}

// additions writes the fields that are there, each under its own letter.
func (w *digest) additions(g *schemas.GuardrailStatus) {
	for i, x := range []*float64{g.ProbabilityIndex, g.KS, g.MannWhitneyP} {
		if x != nil {
			w.tag("pkm"[i])
			w.real(*x)
		}
	}
	if len(g.Shape) > 0 {
		w.tag('s')
		w.number(int64(len(g.Shape)))
		for _, q := range g.Shape {
			w.real(q.Quantile)
			w.real(q.LogEvidence)
		}
	}
	if g.AtQuantile > 0 {
		w.tag('q')
		w.real(g.AtQuantile)
	}
	if g.Calibration != "" {
		w.tag('c')
		w.text(g.Calibration)
	}
	if g.MutedUntil != 0 {
		w.tag('u')
		w.number(int64(g.MutedUntil))
	}
	if len(g.Harmed) > 0 {
		w.tag('h')
		w.number(int64(len(g.Harmed)))
		for _, name := range g.Harmed {
			w.text(name)
		}
	}
	if len(g.Alerts) > 0 {
		w.tag('a')
		w.number(int64(g.AlertsFiring))
		w.number(int64(len(g.Alerts)))
		for i := range g.Alerts {
			w.alert(&g.Alerts[i])
		}
	}
}

func (w *digest) alert(a *schemas.AlertStatus) {
	for _, s := range []string{a.Name, a.Fingerprint, a.Summary, a.URL} {
		w.text(s)
	}
	w.number(int64(a.StartsAt))
	w.number(int64(a.Due))
	for _, is := range []bool{a.Before, a.Waived} {
		w.number(truth(is))
	}
}

func (w *digest) interval(r *schemas.Interval) {
	if r == nil {
		w.b = append(w.b, 'n')
		return
	}
	w.b = append(w.b, 'i')
	w.maybe(r.Estimate)
	w.maybe(r.Lower)
	w.maybe(r.Upper)
}
