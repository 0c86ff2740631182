package decisions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// headOf takes inputs one after the other, with an outbox that is emptied as if all went well.
func headOf(t *testing.T, inputs ...Input) Head {
	t.Helper()
	h := NewHead(0)
	for _, in := range inputs {
		var err error
		if h, _, err = h.Take(in); err != nil {
			t.Fatal(err)
		}
		for {
			d, more := h.Next()
			if !more {
				break
			}
			receipt := Receipt{}
			if d.Do == DoPublish {
				receipt.Sequence = d.Expect + 1
			}
			if h, err = h.Delivered(receipt); err != nil {
				t.Fatal(err)
			}
		}
	}
	return h
}

func richHead(t *testing.T) Head {
	h := headOf(t, after(rolledBack(terms(named, weight)), traffic(6, 1000, 0), ack(7, 4, "eu", schemas.AckFailed))...)
	h, _, err := h.Take(expire(15, id(1, 3)+"/route"))
	if err != nil {
		t.Fatal(err)
	}
	h.Offsets = []Offset{{0, 12}, {3, 9}}
	h.From = []Offset{{0, 1}}
	h.StatsSha256, h.Writer = strings.Repeat("b", 64), "host-1"
	return h
}

func TestHeadRoundTrip(t *testing.T) {
	for _, h := range []Head{NewHead(7), richHead(t), headOf(t, running(terms())...)} {
		b, err := EncodeHead(h)
		if err != nil {
			t.Fatal(err)
		}
		have, err := DecodeHead(b)
		if err != nil || !reflect.DeepEqual(have, h) {
			t.Errorf("read back\n%+v (%v)\nwant\n%+v", have, err, h)
		}
		for cut := range len(b) {
			if _, err := DecodeHead(b[:cut]); err == nil {
				t.Fatalf("a record cut at byte %d of %d is accepted", cut, len(b))
			}
		}
	}
}

func TestHeadRefuses(t *testing.T) {
	good, err := EncodeHead(richHead(t))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ in, want string }{
		"another version": {strings.Replace(string(good), `"version":1`, `"version":2`, 1), "version 2"},
		"unknown field":   {strings.Replace(string(good), `"version":1`, `"version":1,"lease":3`, 1), "lease"},
		"no version":      {`{}`, "version 0"},
		"offsets":         {strings.Replace(string(good), `{"partition":0,"offset":12}`, `{"partition":5,"offset":12}`, 1), "ascending"},
		"too long":        {strings.Repeat(" ", MaxHeadBytes+1), "too large"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := DecodeHead([]byte(test.in)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
	h := richHead(t)
	h.StatsSha256 = strings.Repeat("x", MaxHeadBytes)
	if _, err := EncodeHead(h); !errors.Is(err, ErrHeadTooLarge) {
		t.Errorf("error %v, want ErrHeadTooLarge", err)
	}
}

// TestHeadBound: the greatest record that the machine can make fits.
func TestHeadBound(t *testing.T) {
	v := verdictOf(5, VerdictRollback)
	for i := range 5000 {
		v.Verdict.Reason.Guardrails = append(v.Verdict.Reason.Guardrails, schemas.GuardrailStatus{Name: fmt.Sprint(i), State: schemas.StateFailed})
	}
	h := headOf(t, running(terms())...)
	for i := range MaxAnswers + 10 {
		h, _, _ = h.Take(ack(3, 2, strings.Repeat("é", 60)+fmt.Sprint(i), schemas.AckApplied))
	}
	if len(h.State.Answers) != MaxAnswers {
		t.Errorf("%d acks are kept, want %d", len(h.State.Answers), MaxAnswers)
	}
	h, _, err := h.Take(v)
	if err != nil {
		t.Fatal(err)
	}
	for sizeOf(h.Outbox) <= MaxOutboxBytes-MaxBodyBytes {
		h.Outbox = append(h.Outbox, Entry{Kind: EntryDecision, ID: "x", Body: bytes.Repeat([]byte("x"), MaxBodyBytes)})
	}
	b, err := EncodeHead(h)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, at most %d", len(b), MaxHeadBytes)
}

// TestRoomForAnswers: whoever is asked by name has a place among the answers that are kept, whoever else answers, and before that who may answer as any router.
func TestRoomForAnswers(t *testing.T) {
	answer := func(s State, at int64, who string) State {
		s, _ = Step(s, ack(at, 1, who, schemas.AckReceived))
		return s
	}
	crowd := func(s State, at int64, names string, n int) State {
		for i := range n {
			s = answer(s, at+int64(i), fmt.Sprintf("%s-%03d", names, i))
		}
		return s
	}
	has := func(s State, who string) bool { _, found := s.answerAt(who); return found }
	s := crowd(stateOf(t, applied(1, terms(stateful, named))), 100, "x", 2*MaxAnswers)
	s = answer(answer(answer(s, 1000, "eu"), 1001, "us"), 1002, "item")
	if len(s.Answers) != MaxAnswers || !has(s, "eu") || !has(s, "us") || !has(s, "item") || has(s, "x-000") || has(s, "x-002") || !has(s, "x-003") || !has(s, "x-063") || has(s, "x-064") {
		t.Errorf("%d answers are kept: %+v", len(s.Answers), s.Answers)
	}
	if !slices.IsSortedFunc(s.Answers, func(a, b Answer) int { return compare(a.Consumer, b.Consumer) }) {
		t.Errorf("out of order: %+v", s.Answers)
	}
	former := func(t *Terms) {
		for i := range MaxFormer {
			t.State.Former = append(t.State.Former, fmt.Sprintf("store-%03d", i))
		}
	}
	s = crowd(stateOf(t, applied(1, terms(stateful, former))), 100, "store", MaxFormer)
	s = answer(answer(crowd(s, 200, "router", MaxAnswers), 1000, "eu"), 1001, "user")
	if len(s.Answers) != MaxAnswers || has(s, "store-000") || has(s, "eu") || !has(s, "user") || has(s, "router-000") || !has(s, "router-001") {
		t.Errorf("where any router is enough, %d answers are kept: %+v", len(s.Answers), s.Answers)
	}
	many := func(t *Terms) {
		for i := range schemas.MaxRouters {
			t.Routers = append(t.Routers, fmt.Sprintf("router-%03d", i))
		}
	}
	s = crowd(crowd(stateOf(t, applied(1, terms(stateful, many))), 100, "x", MaxAnswers), 200, "router", schemas.MaxRouters)
	s = answer(answer(s, 1000, "user"), 1001, "item")
	h := headOf(t, applied(1, terms(stateful, many)))
	h.State.Answers = s.Answers
	if _, err := EncodeHead(h); err != nil || len(s.Answers) != schemas.MaxRouters+2 {
		t.Errorf("%d answers are kept, %v", len(s.Answers), err)
	}
}

// TestAnyRouterIsBounded: where any router is enough, and a store is still waited for, made-up names don't make the record grow, and the store counts all the same.
func TestAnyRouterIsBounded(t *testing.T) {
	s := stateOf(t, applied(1, terms(stateful, oneStore)))
	for i := range 4 * MaxAnswers {
		s, _ = Step(s, ack(2, 1, fmt.Sprint("r", i), schemas.AckPrepared))
	}
	if have := len(s.Wait.Got); have != MaxAnswers {
		t.Errorf("%d names are kept, want %d", have, MaxAnswers)
	}
	strays := stateOf(t, applied(1, terms(stateful, oneStore)))
	for i := range 4 * MaxStrays {
		old := ack(2, 1, fmt.Sprint("r", i), schemas.AckPrepared)
		if i == 1 {
			old.Ack.Consumer = "user"
		}
		old.Ack.Epoch = 0
		strays, _ = Step(strays, old)
	}
	if have := strays.Strays; len(have) != MaxStrays || have[0].Consumer != "user" || have[1].Consumer != fmt.Sprint("r", 3*MaxStrays+1) {
		t.Errorf("strays are %+v", have)
	}
	if s, _ = Step(s, snapped(3, 1, "user")); s.Status != StatusRunning {
		t.Errorf("it is %s", s.Status)
	}
}

// TestHeadJSON: the body in the outbox is kept byte by byte.
func TestHeadJSON(t *testing.T) {
	body := []byte("{\"a\": \"<&>\u2028\"}\n")
	h := NewHead(1)
	h.Outbox = []Entry{{Kind: EntryDecision, ID: "x", Body: body}}
	b, err := EncodeHead(h)
	if err != nil {
		t.Fatal(err)
	}
	if have, err := DecodeHead(b); err != nil || !bytes.Equal(have.Outbox[0].Body, body) {
		t.Errorf("body %q (%v), want %q", have.Outbox[0].Body, err, body)
	}
	if !json.Valid(b) {
		t.Error("a record is no JSON")
	}
}

func FuzzHead(f *testing.F) {
	f.Add([]byte(`{"version":1,"state":{},"offsets":null,"from":null,"subject_seq":0}`))
	f.Add([]byte(`{"version":1,"outbox":[{"kind":"decision","id":"x","body":"YQ=="}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := DecodeHead(b)
		if err != nil {
			return
		}
		again, err := EncodeHead(h)
		if err != nil {
			if errors.Is(err, ErrHeadTooLarge) {
				return
			}
			t.Fatalf("%q is read and can't be written: %v", b, err)
		}
		have, err := DecodeHead(again)
		if err != nil {
			t.Fatalf("%q is written and can't be read: %v", again, err)
		}
		third, err := EncodeHead(have)
		if err != nil || !bytes.Equal(third, again) {
			t.Fatalf("%q and %q (%v)", again, third, err)
		}
		h.Next()
		h.State.Deadlines()
		Step(h.State, traffic(6, 1, 1))
		Step(h.State, ack(6, 3, "eu", schemas.AckApplied))
		Step(h.State, expire(1<<40, "x"))
	})
}
