package schemas

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// withoutPlaces is a rollout but for what only says where it stood.
func withoutPlaces(r *Rollout) Rollout {
	plain := *r
	plain.Sha256 = ""
	plain.Guardrails = append([]Guardrail(nil), r.Guardrails...)
	for i := range plain.Guardrails {
		plain.Guardrails[i].Line = 0
	}
	return plain
}

// checkExplained holds that what is explained parses to the same rollout, and explains itself in the same words.
func checkExplained(t *testing.T, r *Rollout) {
	t.Helper()
	text := Explain(r)
	again, err := ParseRollout("explained", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if got, want := withoutPlaces(again), withoutPlaces(r); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v\n%s", got, want, text)
	}
	if second := Explain(again); string(second) != string(text) {
		t.Errorf("explained again:\n%s\nbefore:\n%s", second, text)
	}
}

func TestExplain(t *testing.T) {
	files := goodRollouts(t)
	for i, name := range []string{"shortest", "every_key", "contract"} {
		r := parsed(t, files[i])
		golden(t, "testdata/explained_"+name+".yaml", Explain(r))
		checkExplained(t, r)
	}
}

func TestExplainOddNames(t *testing.T) {
	for _, name := range []string{"null", "NO", "on", "1", "1.5", "0x1", "-", "~", "a: b", "a #b", "#", "{a}", "[", "'", `"`, `\`, "ä", "a, b", "*a", "&a", "!a", "2026-01-01", "=", "<<", "a\u2028b", "\u0085x", "\ufeffx", "y", "😀"} {
		file := strings.Replace(shortest, "ranker-42", quoted(name), 1)
		file = strings.Replace(file, `"42"`, quoted(name), 1)
		file = strings.Replace(file, "{name:", "{labels: {"+quoted(name)+": "+quoted(name)+"}, name:", 1)
		file += "  outcomes: {" + quoted(name) + ": {within: 1s}}\n  guardrails:\n  - {name: " + quoted(name) + ", rate: " + quoted(name) + ", decrease: 5%}\n"
		file += "  stages: [{pass: [" + quoted(name) + "]}]\n  acks: {routers: [" + quoted(name) + "]}\n"
		r, err := ParseRollout("f", []byte(file))
		if strings.ContainsRune(name, '\u0085') { // a control character is no name
			if err == nil {
				t.Errorf("%q is accepted", name)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v\n%s", name, err, file)
			continue
		}
		if r.Name != name || r.Canary != name || r.Labels[name] != name || r.Guardrails[0].Of != name {
			t.Errorf("%q is read as %+v", name, r)
		}
		checkExplained(t, r)
	}
}

func TestExplainSaysWhatNeverPasses(t *testing.T) {
	r := parsed(t, shortest+"  guardrails:\n  - {name: a, rate: error, increase: any}\n  - {name: w, rate: error, increase: 5%, on: warn}\n")
	text := string(Explain(r))
	for _, want := range []string{
		"# risk 0.0075: 3 of 4 shares of falseRollback; without a margin it never passes, and it is required: so nothing is promoted",
		"# warns: no share of falseRollback, a budget of its own",
		"# the missing canary: risk 0.0025: 1 of 4 shares of falseRollback",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	passing := parsed(t, shortest+"  stages: [{pass: [b]}]\n  guardrails:\n  - {name: a, rate: error, increase: any}\n  - {name: b, rate: error, increase: 5%}\n")
	if text := string(Explain(passing)); strings.Contains(text, "nothing is promoted") {
		t.Errorf("the stage waits for another guardrail alone, and still:\n%s", text)
	}
}

func FuzzParseRollout(f *testing.F) {
	for _, file := range []string{shortest, everyKey} {
		f.Add([]byte(file))
	}
	for _, bad := range slices.Concat(badRollouts(), laterRollouts(), badKinds()) {
		f.Add([]byte(bad.file))
	}
	f.Add([]byte(everyKind))
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := ParseRollout("f", file)
		if err == nil {
			checkExplained(t, r)
			return
		}
		for i, p := range Problems(err) {
			if p.Line < 1 || p.Column < 1 || p.Text == "" || i > 0 && p.Line < Problems(err)[i-1].Line {
				t.Errorf("problem %d: %+v", i, p)
			}
		}
		if len(Problems(err)) == 0 {
			t.Errorf("refused without a problem: %v", err)
		}
	})
}

func FuzzParseConfig(f *testing.F) {
	for _, file := range goodConfigs {
		f.Add([]byte(file))
	}
	for _, bad := range badConfigs() {
		f.Add([]byte(bad.file))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		if c, err := ParseConfig("f", file); (c == nil) == (err == nil) || err != nil && len(Problems(err)) == 0 {
			t.Errorf("got %+v, %v", c, err)
		}
	})
}

func FuzzDecodeDecision(f *testing.F) {
	for _, d := range decisions() {
		body, err := EncodeDecision("s", d)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := DecodeDecision(body)
		if err != nil {
			return
		}
		again, err := EncodeDecision("s", d)
		if err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		if second, err := DecodeDecision(again); err != nil || !reflect.DeepEqual(second, d) {
			t.Errorf("got %+v, %v\nwant %+v", second, err, d)
		}
	})
}
