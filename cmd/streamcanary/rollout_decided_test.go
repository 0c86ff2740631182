package main

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"streamcanary/cmd/serve"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// TestShowLastDecision: what was decided last is told as that, and what a rollback stands on, or the evidence of, as what it is.
func TestShowLastDecision(t *testing.T) {
	b, url := deciding(t)
	terms := decisions.Terms{Rollout: "r", Model: "ranker", Baseline: "41", Canary: "42", Mode: schemas.Enforce, Stages: []decisions.StageTerms{{WeightBP: 500}}, AckWithinMs: 1000, DrainWithinMs: 1000,
		State: decisions.StateTerms{Mode: schemas.StateShared, Stores: []string{"users"}, AckWithinMs: 1000, Compatible: true}}
	actor := schemas.Actor{Kind: "person", Name: "ada"}
	ack := func(seq int64, who string, status schemas.AckStatus, snapshot string) decisions.Input {
		id, err := schemas.DecisionID("r", 1, seq)
		if err != nil {
			t.Fatal(err)
		}
		return decisions.Input{Kind: decisions.InputAck, WallMs: seq, Ack: &schemas.Ack{Decision: id, Epoch: 1, Seq: seq, Consumer: who, Status: status, Snapshot: snapshot}}
	}
	command := func(do decisions.CommandKind) decisions.Input {
		return decisions.Input{Kind: decisions.InputCommand, Command: &decisions.Command{Do: do, Actor: actor}}
	}
	late := decisions.Verdict{Action: decisions.VerdictHold, Reason: schemas.Reason{Code: "late", Sentence: "Answers come late.", Guardrails: []schemas.GuardrailStatus{{Name: "p99", State: "unknown"}}}}
	h := decides(t, b, 0, decisions.Input{Kind: decisions.InputApplied, Applied: &decisions.Applied{Terms: terms, Epoch: 1, Actor: actor}},
		ack(1, "eu", schemas.AckPrepared, ""), ack(1, "users", schemas.AckPrepared, "before"), ack(2, "eu", schemas.AckApplied, ""),
		decisions.Input{Kind: decisions.InputVerdict, EventMs: 65_000, Verdict: &late}, command(decisions.CommandRollback), ack(4, "users", schemas.AckPrepared, ""))
	shown := func(a *serve.Addresses) string {
		v := viewOf(&h, nil)
		v.complete(t.Context(), b, a)
		var out strings.Builder
		if err := printView(&out, &v); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	have := shown(&serve.Addresses{})
	for _, want := range []string{
		"\ndecided: commanded: ada rolled 42 back.\nlast decision: r.1.5 (rollback): commanded: users takes no more writes: all traffic goes to 41.\n",
		"\nguardrails at decision r.1.3 (judged up to 1970-01-01T00:01:05.000Z):\nGUARDRAIL",
	} {
		if !strings.Contains(have, want) {
			t.Errorf("shown\n%s\nwant %s", have, want)
		}
	}
	if strings.Contains(have, "since then") {
		t.Errorf("nobody has decided since, and there is shown\n%s", have)
	}
	next := terms
	next.Rollout, next.State = "next", decisions.StateTerms{}
	decides(t, b, h.SubjectSeq, decisions.Input{Kind: decisions.InputApplied, Applied: &decisions.Applied{Terms: next, Epoch: 2, Prev: h.State.Prev, Actor: actor}})
	const since = "\nsince then: rollout next has decided about model ranker (epoch 2): the routes here are of before; `streamcanary rollout show next`, or `streamcanary decisions list`, tells\n"
	if have := shown(&serve.Addresses{}); !strings.Contains(have, since) {
		t.Errorf("shown\n%s\nwant %s", have, since)
	}
	copyOf(t, b, url, "r.1.1")
	if have := shown(&serve.Addresses{}); !strings.Contains(have, "\nlast decision: r.1.5 (rollback): ") {
		t.Errorf("with a copy of the first decision at the end of the log there is shown\n%s", have)
	}
	h.State.Terms.Model = "other" // of which the log has nothing
	if have := shown(&serve.Addresses{}); !strings.Contains(have, "\ndecided: commanded: ada rolled 42 back.\n") || strings.Contains(have, "last decision:") {
		t.Errorf("without a log there is shown\n%s", have)
	}
}

// copyOf publishes a decision of the log again, signature and all.
func copyOf(t *testing.T, b *bus.Bus, url, id string) {
	t.Helper()
	l, err := b.Decision(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	subject, err := schemas.DecisionSubject(l.Model)
	if err != nil {
		t.Fatal(err)
	}
	m := &nats.Msg{Subject: subject, Data: l.Signed.Body, Header: nats.Header{}}
	m.Header.Set(schemas.HeaderKeyID, l.Signed.KeyID)
	m.Header.Set(schemas.HeaderSignature, schemas.EncodeSignature(l.Signed.Signature))
	if _, err := conn.RequestMsg(m, 5*time.Second); err != nil {
		t.Fatal(err)
	}
}
