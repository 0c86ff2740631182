package serve

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"streamcanary/decisions"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// metrics are what Prometheus scrapes. Names of models and rollouts are labels, ids never are.
type metrics struct {
	counting  trouble     // of stage one's reading
	storing   trouble     // of what stage one counted
	judging   trouble     // of stage two's reading
	deciding  holdup      // of what stage two decided
	undecided trouble     // rollouts for which this process no longer decides
	away      logAway     // the decision log
	records   trouble     // the bucket of the rollouts' records
	topics    trouble     // of the event topics
	quiet     atomic.Bool // every partition of predictions is idle: all was read, and nothing came for idleAfter
	registry  *prometheus.Registry
	events    *prometheus.GaugeVec
	decisions *prometheus.CounterVec
	acks      *prometheus.CounterVec
	ignored   *prometheus.CounterVec
	rollbacks *prometheus.HistogramVec
	status    *prometheus.GaugeVec
	missing   *prometheus.GaugeVec
	undone    *prometheus.GaugeVec
	stands    *prometheus.GaugeVec
	serving   *prometheus.GaugeVec
	denied    prometheus.Counter
	refused   prometheus.Counter
	notices   *prometheus.CounterVec
	evidence  *prometheus.GaugeVec
	threshold *prometheus.GaugeVec
	estimate  *prometheus.GaugeVec
	bound     *prometheus.GaugeVec
	skew      *prometheus.GaugeVec
	reached   *prometheus.GaugeVec
	joining   *prometheus.GaugeVec
	room      *prometheus.GaugeVec
	lost      *prometheus.GaugeVec
	waiting   *prometheus.GaugeVec
	forced    *prometheus.GaugeVec
	recounts  prometheus.Counter
	alerts    *prometheus.CounterVec
	firing    *prometheus.GaugeVec
	sinks     *prometheus.CounterVec
	failing   *prometheus.GaugeVec
	foreign   *prometheus.CounterVec
	gone      *prometheus.GaugeVec
}

func newMetrics(program string) *metrics {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "streamcanary", Name: name, Help: help}, labels)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "streamcanary", Name: name, Help: help}, labels)
	}
	m := &metrics{
		registry:  prometheus.NewRegistry(),
		events:    gauge("events", "Events by kind and class since the topics were opened; every event is in one class.", "kind", "class"),
		decisions: counter("decisions_total", "Decisions taken by this process.", "model", "rollout", "action"),
		acks:      counter("acks_total", "Acks of subscribers.", "status"),
		ignored:   counter("acks_ignored_total", "Acks that count for nothing, by reason: unknown_model, older_epoch, future_epoch, future_decision, unknown_decision, not_asked (a name that no decision asks).", "reason"),
		rollbacks: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "streamcanary", Name: "rollback_seconds", Buckets: []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 14400},
			Help: "Of rollbacks that are carried out, the time from when the harm began (estimated) until it was detected (event time), decided, acknowledged, and the canary had drained (event time).",
		}, []string{"model", "until"}),
		status:  gauge("rollout_status", "1 for the status that the rollout is in.", "model", "rollout", "status"),
		missing: gauge("acks_missing", "1 while a decision waits for the answer of this consumer; any: of one router, whichever.", "model", "rollout", "consumer"),
		stands:  gauge("rollout_stands", "1 while people have been told of this, by its name in `rollout list`, and not yet that it is over.", "model", "rollout", "what"),
		undone:  gauge("rollback_undone", "1 while a rollback is decided and not yet carried out: its acks, or the proof that the canary has drained, are missing.", "model", "rollout"),
		serving: gauge("retired_serving", "1 while people have been told that this version serves users, although a rollback, a promotion or another rollout has taken all traffic from it.", "model", "rollout", "version"),
		denied: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "streamcanary", Name: "commands_denied_total", Help: "Commands of people who may not give them.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "streamcanary", Name: "commands_refused_total", Help: "Commands of people who may give them, and that can't be done as things stand.",
		}),
		notices:   counter("notices_total", "What people were told of beside decisions, by this process.", "model", "rollout", "kind"),
		evidence:  gauge("guardrail_log_evidence", "Running maximum of the fail evidence, natural log.", "rollout", "guardrail", "segment"),
		threshold: gauge("guardrail_log_threshold", "Evidence at which the guardrail has failed.", "rollout", "guardrail", "segment"),
		estimate:  gauge("guardrail_estimate", "Canary against baseline: a difference of shares, a ratio, or milliseconds.", "rollout", "guardrail", "segment", "unit"),
		bound:     gauge("guardrail_bound", "Bounds of the estimate, valid at all times.", "rollout", "guardrail", "segment", "side"),
		reached:   gauge("event_time_seconds", "Event time up to which windows are judged.", "rollout"),
		joining:   gauge("join_remembered", "What is remembered to join outcomes to predictions, and to know copies.", "what"),
		room:      gauge("join_limit", "How much of it there is room for: beyond, the oldest is forgotten.", "what"),
		lost:      gauge("join_lost", "What there was no room for, since the topics were opened.", "what"),
		waiting:   gauge("windows_waiting", "Sealed windows that wait for other partitions or streams.", "rollout"),
		forced:    gauge("windows_forced", "Windows judged out of their order because too many waited.", "rollout"),
		alerts:    counter("alerts_total", "Alerts that Alertmanager told of by what became of them: kept, other (of no rollout), truncated; and messages that were refused.", "result"),
		firing:    gauge("guardrail_alerts_firing", "Alerts that fire and fit a guardrail from outside.", "rollout", "guardrail"),
		sinks:     counter("sink_events_total", "Decisions and notices by what became of them at a sink: told, superseded, refused, given-up, untrusted.", "sink", "result"),
		failing:   gauge("sink_failing", "1 while a sink is not reached, and what it is to be told waits.", "sink"),
		skew: gauge("score_skew", "How the canary's scores online differ from those offline (training.scores): ks, psi (for the eye), log_evidence of the test, and proven (1, else 0).",
			"rollout", "what"),
		foreign: counter("foreign_decisions_total", "What stands in the decision log, or as a route, and no key of this service has signed, as far as it was read back. It is passed over.", "model"),
		gone:    gauge("rollout_lost", "1 where this process no longer decides for a rollout: another one does, or the decision log lost decisions.", "model", "rollout"),
		recounts: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "streamcanary", Name: "recounts_total", Help: "Times that events were read again because something could not be stored.",
		}),
	}
	held := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "streamcanary", Name: "decision_waiting_seconds", Help: "For how long the oldest decision has waited that is not yet stored and published; 0: there is none.",
	}, m.deciding.seconds)
	away := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "streamcanary", Name: "decision_log_gone", Help: "1 while the decision log (stream " + schemas.StreamName + ") isn't there, or has settings that decisions can't stand on: nothing is published.",
	}, m.away.gone)
	build := gauge("build_info", "Always 1; the label says which program runs.", "program")
	build.WithLabelValues(program).Set(1)
	m.registry.MustRegister(m.events, m.decisions, m.acks, m.ignored, m.rollbacks, m.status, m.missing, m.undone, m.stands, m.serving, m.denied, m.refused, m.notices, m.evidence, m.threshold, m.estimate, m.bound, m.skew, m.reached, build,
		m.joining, m.room, m.lost, m.waiting, m.forced, m.recounts, m.sinks, m.failing, m.alerts, m.firing, m.foreign, m.gone, held, away,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// A trouble is what keeps events from being counted, or windows from being judged, now. Its zero value is none. It may be used by many goroutines.
type trouble struct{ now atomic.Pointer[error] }

// is notes a trouble; nil: it is over.
func (t *trouble) is(err error) {
	if err == nil {
		t.now.Store(nil)
		return
	}
	t.now.Store(&err)
}

// err is the trouble; nil: there is none.
func (t *trouble) err() error {
	if now := t.now.Load(); now != nil {
		return *now
	}
	return nil
}

func (m *metrics) counted(c windows.Counts) {
	for _, kind := range []schemas.Kind{schemas.KindPrediction, schemas.KindOutcome, schemas.KindSample} {
		for _, class := range windows.ClassesOf(kind) {
			m.events.WithLabelValues(kind.String(), class.String()).Set(float64(c.Of(kind, class)))
		}
	}
}

// stage tells what stage one remembers, of how much it has room for.
func (m *metrics) stage(s windows.StageStats, limits windows.Limits) {
	for what, n := range map[string][2]int{
		"predictions": {s.Predictions, limits.PendingPredictions}, "outcome_ids": {s.Outcomes, limits.PendingOutcomes}, "waiting_outcomes": {s.Waiting, limits.PendingOutcomes},
	} {
		m.joining.WithLabelValues(what).Set(float64(n[0]))
		m.room.WithLabelValues(what).Set(float64(n[1]))
	}
	for what, n := range map[string]int64{"predictions": s.LostPredictions, "outcome_ids": s.ForgottenOutcomes, "waiting_outcomes": s.LostOutcomes} {
		m.lost.WithLabelValues(what).Set(float64(n))
	}
}

func (m *metrics) decided(d *schemas.Decision) {
	m.decisions.WithLabelValues(d.Model, d.Rollout, string(d.Action)).Inc()
}

// noticed counts a notice, and takes the times of a rollback that is carried out, as far as they are known.
func (m *metrics) noticed(n *schemas.Notice) {
	m.notices.WithLabelValues(n.Model, n.Rollout, string(n.Kind)).Inc()
	if n.Kind != schemas.NoticeRollbackCompleted || n.Times == nil || n.Times.HarmBegan == 0 {
		return
	}
	for until, at := range map[string]schemas.Time{
		"detected": n.Times.Detected, "decided": n.Times.Decided, "acked": n.Times.Acked, "drained": n.Times.Drained,
	} {
		if at > 0 {
			m.rollbacks.WithLabelValues(n.Model, until).Observe(max(0, float64(at-n.Times.HarmBegan)/1000))
		}
	}
}

func (m *metrics) told(sink, result string) { m.sinks.WithLabelValues(sink, result).Inc() }

func (m *metrics) acked(a *schemas.Ack) { m.acks.WithLabelValues(string(a.Status)).Inc() }

func (m *metrics) unheeded(why decisions.Unheeded) { m.ignored.WithLabelValues(string(why)).Inc() }

// standing replaces what is known of the rollouts.
func (m *metrics) standing(all []Standing) {
	for _, v := range []*prometheus.GaugeVec{m.status, m.missing, m.undone, m.stands, m.serving, m.evidence, m.threshold, m.estimate, m.bound, m.skew, m.reached, m.waiting, m.forced, m.firing, m.gone} {
		v.Reset()
	}
	for i := range all {
		s := &all[i]
		if s.Lost != "" {
			m.gone.WithLabelValues(s.Model, s.Rollout).Set(1)
		}
		if s.aside { // the rest is that one's to say
			continue
		}
		m.status.WithLabelValues(s.Model, s.Rollout, string(s.Status)).Set(1)
		for _, consumer := range s.Waiting {
			m.missing.WithLabelValues(s.Model, s.Rollout, consumer).Set(1)
		}
		if s.Undone {
			m.undone.WithLabelValues(s.Model, s.Rollout).Set(1)
		}
		for _, what := range s.Stands {
			m.stands.WithLabelValues(s.Model, s.Rollout, what).Set(1)
		}
		for _, version := range s.serving {
			m.serving.WithLabelValues(s.Model, s.Rollout, version).Set(1)
		}
		if at := max(int64(s.Reached), s.recordedMs); at > 0 {
			m.reached.WithLabelValues(s.Rollout).Set(float64(at) / 1000)
		}
		m.waiting.WithLabelValues(s.Rollout).Set(float64(s.merger.Buffered))
		m.forced.WithLabelValues(s.Rollout).Set(float64(s.merger.Forced))
		for j := range s.Guardrails {
			m.guardrail(s.Rollout, &s.Guardrails[j])
		}
		m.skewed(s.Rollout, s.Skew)
	}
	m.undecided.is(lostTogether(all))
}

// skewed tells of a canary's scores; nil: nothing is known of them.
func (m *metrics) skewed(rollout string, s *schemas.Skew) {
	if s == nil {
		return
	}
	proven := 0.0
	if s.Proven {
		proven = 1
	}
	for what, x := range map[string]float64{"ks": s.KS, "psi": s.PSI, "log_evidence": s.LogEvidence, "proven": proven} {
		m.skew.WithLabelValues(rollout, what).Set(x)
	}
}

func (m *metrics) guardrail(rollout string, g *schemas.GuardrailStatus) {
	if g.Against == schemas.AgainstAlerts {
		m.firing.WithLabelValues(rollout, g.Name).Set(float64(g.AlertsFiring))
		return
	}
	m.evidence.WithLabelValues(rollout, g.Name, g.Segment).Set(g.LogEvidence)
	m.threshold.WithLabelValues(rollout, g.Name, g.Segment).Set(g.Threshold)
	if g.Estimate != nil {
		m.estimate.WithLabelValues(rollout, g.Name, g.Segment, g.Unit).Set(*g.Estimate)
	}
	if g.Lower != nil {
		m.bound.WithLabelValues(rollout, g.Name, g.Segment, "lower").Set(*g.Lower)
	}
	if g.Upper != nil {
		m.bound.WithLabelValues(rollout, g.Name, g.Segment, "upper").Set(*g.Upper)
	}
}
