package schemas

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
)

func number3(x float64) *float64 { return &x }

func plainDecision() *Decision {
	return &Decision{
		ID: "ranker-42.7.1", Epoch: 7, Seq: 1, Model: "ranker", Rollout: "ranker-42", Mode: Enforce, Action: ActionStart,
		Phase: PhasePrepare, Severity: Info, Reason: Reason{Code: "applied", Sentence: "ranker-42 begins."},
		Evidence: Evidence{RolloutSha256: strings.Repeat("0", 64)}, EventTime: 1_700_000_000_000, Actor: Actor{Kind: "person", Name: "ann", Comment: "go"},
	}
}

func fullDecision() *Decision {
	return &Decision{
		Schema: DecisionSchema, ID: "ranker-42.7.3", Epoch: 7, Seq: 3,
		Prev:  &Prev{ID: "ranker-42.7.2", Sha256: strings.Repeat("ab", 32)},
		Model: "ranker", Rollout: "ranker-42", Labels: map[string]string{"team": "feed", "area": "a<b"}, Mode: Enforce,
		Action: ActionRollback, Severity: Critical,
		Routes: []Route{{"41", 10000, 0}, {"42", 0, 100}}, PreviousRoutes: []Route{{"41", 9900, 0}, {"42", 100, 0}},
		Unit: "user", Salt: "s",
		Reason: Reason{
			Code: "guardrail_failed", Sentence: "Errors are 2.1 pp above the baseline's, and 0.5 pp are allowed.",
			Guardrails: []GuardrailStatus{{
				Name: "errors", State: StateFailed, On: OnRollback, Against: AgainstBaseline, Unit: "share", Margin: "0.5pp",
				Estimate: number3(0.021), Lower: number3(0.009), SinceHarm: number3(0.2), Ratio: &Interval{Estimate: number3(3), Lower: number3(1.5)},
				LogEvidence: 9.5, LogAny: 12, LogPass: -3, Threshold: 6.07, PassThreshold: 3, Phi: 1.5,
				Baseline: ArmCount{9900, 10, number3(0.001)}, Canary: ArmCount{100, 3, number3(0.03)},
				HarmBegan: 1_700_000_000_000, FirstWindow: 1_699_999_000_000, LastWindow: 1_700_000_016_000,
			}, {
				Name: "sales", State: StateContinue, On: OnRollback, Against: AgainstBaseline, Unit: "share", Margin: "any",
				Estimate: number3(0), Lower: number3(0.01), Upper: number3(-0.01), Changed: true,
				Ratio: &Interval{Estimate: number3(1), Lower: number3(1.2), Upper: number3(0.8), Changed: true},
			}, {Name: "ctr", Segment: "de", State: StateInsufficient, Why: "no_data", On: OnRollback, Unit: "ratio", Margin: "2%", Difference: &Interval{Lower: number3(-0.5)}}},
			Health: []Finding{{"split_mismatch", "The canary gets 3 %, planned are 1 %.", 8, 7, 1_700_000_000_000}},
			Skew: &Skew{KS: 0.25, PSI: 0.5, Proven: true, LogEvidence: 9, Threshold: 7.5, Since: 1_700_000_000_000, Online: 400, Offline: 10_000,
				OfflineSha256: strings.Repeat("1", 64), Slack: 0.0625},
			Changes: []string{"feature dwell_time was dropped"},
		},
		Evidence: Evidence{
			Inputs: []Input{{"streamcanary.windows", 0, 10, 99}}, Watermark: 1_700_000_016_000,
			RolloutSha256: strings.Repeat("0", 64), Program: "v0.1.0",
		},
		EventTime: 1_700_000_017_000, IssuedAt: 1_700_000_018_123, Deadline: 1_700_000_028_123, Acks: []string{"any"},
		Supersedes: "ranker-42.7.2", Actor: Actor{Kind: "engine"}, Links: map[string]string{"runbook": "https://…"},
	}
}

// decisions are valid ones; the schema accepts each.
func decisions() map[string]*Decision {
	return map[string]*Decision{"plain": plainDecision(), "full": fullDecision()}
}

func TestDecisionBytes(t *testing.T) {
	for name, d := range decisions() {
		body, err := EncodeDecision("streamcanary/host-1", d)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "testdata/decision_"+name+".json", body)
		read, err := DecodeDecision(body)
		if err != nil {
			t.Fatal(err)
		}
		want := *d
		want.Schema = DecisionSchema
		if !reflect.DeepEqual(read, &want) {
			t.Errorf("%s: got  %+v\nwant %+v", name, read, &want)
		}
		for i := range body {
			if _, err := DecodeDecision(body[:i]); err == nil {
				t.Errorf("%s: accepted when cut to %d of %d bytes", name, i, len(body))
			}
		}
	}
	if plainDecision().Schema != "" {
		t.Error("encoding changed the decision")
	}
}

func TestBadDecisions(t *testing.T) {
	tests := []struct {
		name   string
		change func(d *Decision)
		want   string
	}{
		{"id", func(d *Decision) { d.ID = "" }, `encode decision "": id is missing`},
		{"long id", func(d *Decision) { d.ID = strings.Repeat("x", 513) }, "id has 513 bytes, 512 are allowed"},
		{"schema", func(d *Decision) { d.Schema = "v2" }, `schema is "v2", not "streamcanary.decision.v1"`},
		{"epoch", func(d *Decision) { d.Epoch = 0 }, "epoch is 0: it counts from 1"},
		{"seq", func(d *Decision) { d.Seq = -1 }, "seq is -1: it counts from 1"},
		{"model", func(d *Decision) { d.Model = "" }, "model is missing"},
		{"rollout", func(d *Decision) { d.Rollout = "" }, "rollout is missing"},
		{"stage", func(d *Decision) { d.Stage = -1 }, "stage is -1"},
		{"mode", func(d *Decision) { d.Mode = "" }, `mode "" is unknown: there are enforce, advise`},
		{"action", func(d *Decision) { d.Action = "stop" }, `action "stop" is unknown: there are start, advance, promote, rollback, hold, freeze, resume, retry, supersede, roll-forward`},
		{"phase", func(d *Decision) { d.Phase = "x" }, `phase "x" is unknown: there are prepare, commit, abort`},
		{"severity", func(d *Decision) { d.Severity = "loud" }, `severity "loud" is unknown: there are info, warning, critical`},
		{"actor", func(d *Decision) { d.Actor.Kind = "" }, `actor.kind "" is unknown: there are engine, person`},
		{"code", func(d *Decision) { d.Reason.Code = "" }, "reason.code is missing"},
		{"sentence", func(d *Decision) { d.Reason.Sentence = "" }, "reason.sentence is missing"},
		{"expiry", func(d *Decision) { d.ExpiresAt = 1_800_000_000_000 }, "expires_at is 2027-01-15T08:00:00.000Z, but a rollback never expires"},
		{"prev", func(d *Decision) { d.Prev.Sha256 = "AB" }, `prev.sha256 "AB" is no SHA-256 in lower-case hex`},
		{"sum of weights", func(d *Decision) { d.Routes[1].WeightBP = 1 }, "routes: the weights sum to 10001, not 10000"},
		{"negative weight", func(d *Decision) { d.Routes[1].WeightBP = -1 }, "routes[1].weight_bp is -1, outside 0..10000"},
		{"mirror", func(d *Decision) { d.PreviousRoutes[1].MirrorBP = 10001 }, "previous_routes[1].mirror_bp is 10001, outside 0..10000"},
		{"route twice", func(d *Decision) { d.Routes[1].Version = "41" }, `routes: version "41" stands there twice`},
		{"route of nobody", func(d *Decision) { d.Routes[1].Version = "" }, "routes[1].version is missing"},
		{"too many routes", func(d *Decision) { d.Routes = make([]Route, 65) }, "routes: 65 of them, 64 are allowed"},
		{"infinite evidence", func(d *Decision) { d.Reason.Guardrails[0].LogEvidence = math.Inf(1) }, "json: unsupported value: +Inf"},
		{"year", func(d *Decision) { d.Deadline = math.MaxInt64 }, "is outside of the years that RFC 3339 can write"},
		{"too large", func(d *Decision) { d.Salt = strings.Repeat("x", MaxDecisionBytes) }, "bytes, 524288 are allowed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := fullDecision()
			test.change(d)
			if _, err := EncodeDecision("s", d); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
	if _, err := EncodeDecision("", fullDecision()); err == nil || !strings.HasSuffix(err.Error(), "source is missing") {
		t.Errorf("without a source: %v", err)
	}
}

func TestMalformedDecisions(t *testing.T) {
	good, err := EncodeDecision("s", plainDecision())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, old, change, want string }{
		{"specversion", `"specversion":"1.0"`, `"specversion":"0.3"`, `specversion is "0.3"`},
		{"type", `"type":"streamcanary.decision.v1"`, `"type":"streamcanary.decision.v2"`, `type is "streamcanary.decision.v2", not "streamcanary.decision.v1"`},
		{"content", `"application/json"`, `"text/xml"`, `datacontenttype is "text/xml"`},
		{"data", `"data":{`, `"date":{`, "data is missing"},
		{"id", `"id":"ranker-42.7.1","subject"`, `"id":"x","subject"`, `the envelope's id "x" is not the decision's, "ranker-42.7.1"`},
		{"subject", `"subject":"ranker"`, `"subject":"other"`, `the envelope's subject "other" is not the decision's model, "ranker"`},
		{"epoch", `"epoch":7`, `"epoch":7.5`, "cannot unmarshal number 7.5"},
		{"time", `"event_time":"2023`, `"event_time":"yesterday 2023`, "is not RFC 3339: write e.g. 2026-01-31T12:00:00.000Z"},
		{"number time", `"event_time":"2023-11-14T22:13:20.000Z"`, `"event_time":5`, "time 5 is not a string of RFC 3339"},
		{"year", `"event_time":"2023-11-14T22:13:20.000Z"`, `"event_time":"0000-01-01T00:00:00+01:00"`, "outside of the years 0 to 9999 in UTC"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			body := strings.Replace(string(good), test.old, test.change, 1)
			if body == string(good) {
				t.Fatalf("nothing changed in %s", good)
			}
			if _, err := DecodeDecision([]byte(body)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
	for _, body := range []string{"", "null", "[]", `"x"`, "{}", string(good) + "{}", strings.Repeat(" ", MaxDecisionBytes+1)} {
		if _, err := DecodeDecision([]byte(body)); err == nil {
			t.Errorf("%.20q is accepted", body)
		}
	}
}

func TestUnknownFieldsArePassedOver(t *testing.T) {
	good, err := EncodeDecision("s", plainDecision())
	if err != nil {
		t.Fatal(err)
	}
	newer := strings.Replace(string(good), `"data":{`, `"traceparent":"00-1","data":{"weather":{"activate":"x"},"deadline":null,`, 1)
	d, err := DecodeDecision([]byte(newer))
	want := plainDecision()
	want.Schema = DecisionSchema
	if err != nil || !reflect.DeepEqual(d, want) {
		t.Errorf("got %+v, %v", d, err)
	}
}

func TestDecisionID(t *testing.T) {
	tests := []struct {
		rollout    string
		epoch, seq int64
		want       string
	}{
		{"ranker-42", 7, 3, "ranker-42.7.3"},
		{"a.7", 3, 1, "a=2E7.3.1"}, // not that of rollout a in another epoch
		{"ä b", 1, 1, "=C3=A4=20b.1.1"},
	}
	for _, test := range tests {
		if got, err := DecisionID(test.rollout, test.epoch, test.seq); err != nil || got != test.want {
			t.Errorf("got %q, %v, want %q", got, err, test.want)
		}
	}
	if _, err := DecisionID("", 1, 1); err == nil {
		t.Error("a rollout without a name has an id")
	}
}

// acks are valid ones; the schema accepts each.
func acks() []*Ack {
	return []*Ack{
		{Decision: "ranker-42.7.3", Epoch: 7, Seq: 3, Consumer: "edge", Status: AckApplied, At: 1_700_000_018_500},
		{Decision: "ranker-42.7.3", Epoch: 7, Seq: 3, Consumer: "edge", Instance: "edge-1", Status: AckRejected, Why: WhyStaleEpoch, At: 1},
		{Decision: "ranker-42.7.3", Epoch: 7, Seq: 3, Consumer: "store", Status: AckPrepared, Snapshot: "s3://a<b", At: 1},
		{Decision: "ranker-42.7.3", Epoch: 7, Seq: 3, Consumer: "store", Status: AckFailed, Why: "disk is full", At: 1},
	}
}

func TestAcks(t *testing.T) {
	var all string
	for _, a := range acks() {
		body, err := EncodeAck(a)
		if err != nil {
			t.Fatal(err)
		}
		all += string(body) + "\n"
		read, err := DecodeAck(body)
		if err != nil || !reflect.DeepEqual(read, a) {
			t.Errorf("got %+v, %v, want %+v", read, err, a)
		}
		for i := range body {
			if _, err := DecodeAck(body[:i]); err == nil {
				t.Errorf("accepted when cut to %d bytes: %s", i, body)
			}
		}
	}
	golden(t, "testdata/acks.ndjson", []byte(all))
}

type badAck struct {
	body, want string
	schema     bool
}

func badAcks() []badAck {
	return []badAck{
		{`{"decision":"d","epoch":1,"seq":1,"consumer":"c","status":"done","at":"2026-01-01T00:00:00Z"}`, `decode ack of "d": status "done" is unknown: there are received, prepared, applied, rejected, failed`, true},
		{`{"decision":"d","epoch":1,"seq":1,"consumer":"c","status":"rejected","why":"no","at":"2026-01-01T00:00:00Z"}`, `decode ack of "d": why "no" is unknown: there are stale-epoch, incompatible-state, capacity, policy`, true},
		{`{"decision":"d","epoch":1,"seq":1,"consumer":"c","status":"rejected","at":"2026-01-01T00:00:00Z"}`, `decode ack of "d": why "" is unknown: there are stale-epoch, incompatible-state, capacity, policy`, true},
		{`{"decision":"","epoch":1,"seq":1,"consumer":"c","status":"applied","at":"2026-01-01T00:00:00Z"}`, `decode ack of "": decision is missing`, true},
		{`{"decision":"d","epoch":0,"seq":1,"consumer":"c","status":"applied","at":"2026-01-01T00:00:00Z"}`, `decode ack of "d": epoch is 0: it counts from 1`, true},
		{`{"decision":"d","epoch":1,"consumer":"c","status":"applied","at":"2026-01-01T00:00:00Z"}`, `decode ack of "d": seq is 0: it counts from 1`, true},
		{`{"decision":"d","epoch":1,"seq":1,"consumer":"` + strings.Repeat("c", 129) + `","status":"applied","at":"2026-01-01T00:00:00Z"}`, `decode ack of "d": consumer has 129 bytes, 128 are allowed`, true},
		{`{"decision":"d","epoch":1,"seq":1,"consumer":"c","status":"applied","at":7}`, `decode ack: time 7 is not a string of RFC 3339`, true},
	}
}

func TestBadAcks(t *testing.T) {
	for _, bad := range badAcks() {
		if _, err := DecodeAck([]byte(bad.body)); err == nil || err.Error() != bad.want {
			t.Errorf("got %v, want %s", err, bad.want)
		}
	}
	if _, err := DecodeAck([]byte("{" + strings.Repeat(" ", MaxAckBytes) + "}")); err == nil {
		t.Error("an ack beyond its bound is accepted")
	}
	if _, err := EncodeAck(&Ack{}); err == nil || err.Error() != `encode ack of "": decision is missing` {
		t.Errorf("got %v", err)
	}
}

func notices() []*Notice {
	return []*Notice{{
		Schema: NoticeSchema, ID: "ranker-42.7.3.rollback-completed", Kind: NoticeRollbackCompleted, Severity: Warning, Model: "ranker",
		Rollout: "ranker-42", Epoch: 7, Decision: "ranker-42.7.3", Sentence: "The canary is out of the stream.", Outcome: OutcomeDone,
		Times: &RollbackTimes{HarmBegan: 1000, Detected: 2000, Decided: 2500, Acked: 3000, Drained: 9000}, EventTime: 9000, At: 9500,
	}, {
		Schema: NoticeSchema, ID: "ranker-42.7.3.acks-overdue.1", Kind: NoticeAcksOverdue, Severity: Critical, Model: "ranker", Rollout: "ranker-42",
		Epoch: 7, Sentence: "No router answered within 10s: look whether they run.", Attempt: 1, Waiting: []string{"edge"},
	}}
}

func TestNotices(t *testing.T) {
	var all string
	for _, n := range notices() {
		body, err := EncodeNotice(n)
		if err != nil {
			t.Fatal(err)
		}
		all += string(body) + "\n"
		read, err := DecodeNotice(body)
		if err != nil || !reflect.DeepEqual(read, n) {
			t.Errorf("got %+v, %v, want %+v", read, err, n)
		}
	}
	golden(t, "testdata/notices.ndjson", []byte(all))

	tests := []struct {
		change func(n *Notice)
		want   string
	}{
		{func(n *Notice) { n.Times = nil }, "times are missing"},
		{func(n *Notice) { n.Kind = "" }, "kind is missing"},
		{func(n *Notice) { n.Model = "" }, "model is missing"},
		{func(n *Notice) { n.Sentence = "" }, "sentence is missing"},
		{func(n *Notice) { n.Severity = "" }, `severity "" is unknown: there are info, warning, critical`},
		{func(n *Notice) { n.Schema = "x" }, `schema is "x", not "streamcanary.event.v1"`},
	}
	for _, test := range tests {
		n := notices()[0]
		test.change(n)
		if _, err := EncodeNotice(n); err == nil || !strings.HasSuffix(err.Error(), ": "+test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
	for _, body := range []string{"", "{}", "[]"} {
		if _, err := DecodeNotice([]byte(body)); err == nil {
			t.Errorf("%q is accepted", body)
		}
	}
}

func TestHeartbeats(t *testing.T) {
	h := &Heartbeat{
		Instance: "judge-1", Program: "v0.1.0", At: 1000, EveryMs: 5000,
		Rollouts: []RolloutBeat{{Model: "ranker", Rollout: "ranker-42", Epoch: 7, Seq: 3, Watermark: 900}},
	}
	body, err := EncodeHeartbeat(h)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/heartbeat.json", body)
	want := *h
	want.Schema = HeartbeatSchema
	if read, err := DecodeHeartbeat(body); err != nil || !reflect.DeepEqual(read, &want) {
		t.Errorf("got %+v, %v", read, err)
	}
	h.EveryMs = 0
	if _, err := EncodeHeartbeat(h); err == nil || err.Error() != "encode heartbeat: every_ms is 0: it counts from 1" {
		t.Errorf("got %v", err)
	}
	h.EveryMs, h.Rollouts[0].Model = 1, ""
	if _, err := EncodeHeartbeat(h); err == nil || err.Error() != "encode heartbeat: rollouts[0].model is missing" {
		t.Errorf("got %v", err)
	}
	if _, err := DecodeHeartbeat([]byte("{}")); err == nil {
		t.Error("an empty heartbeat is accepted")
	}
}

func TestTime(t *testing.T) {
	tests := []struct {
		text string
		want Time
	}{
		{`"2023-11-14T22:13:20.000Z"`, 1_700_000_000_000},
		{`"2023-11-14T23:13:20.0019+01:00"`, 1_700_000_000_001},
		{`"2023-11-14T22:13:20Z"`, 1_700_000_000_000},
		{`null`, 0},
	}
	for _, test := range tests {
		var got Time
		if err := got.UnmarshalJSON([]byte(test.text)); err != nil || got != test.want {
			t.Errorf("%s: got %d, %v", test.text, got, err)
		}
	}
	if got := fmt.Sprint(Time(1_700_000_000_001)); got != "2023-11-14T22:13:20.001Z" {
		t.Errorf("got %s", got)
	}
}

func TestCrossed(t *testing.T) {
	one, two := number3(1), number3(2)
	tests := []struct {
		lower, upper *float64
		want         bool
	}{
		{nil, nil, false}, {one, nil, false}, {nil, one, false}, {one, two, false}, {one, one, false}, {two, one, true},
	}
	for _, tt := range tests {
		if got := Crossed(tt.lower, tt.upper); got != tt.want {
			t.Errorf("%v .. %v: %v, want %v", tt.lower, tt.upper, got, tt.want)
		}
	}
}
