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

// TestExplainSaysWhatSegmentsTake: samples have no segment, so beside them alone nothing is watched.
func TestExplainSaysWhatSegmentsTake(t *testing.T) {
	const watched, cpu = "  segments: {watch: segment, top: 3}\n  guardrails:\n", "  - {name: cpu, sample: cpu, limit: 0.9, increase: 5pp}\n"
	for more, want := range map[string]string{
		"": "a tenth of falseRollback, which nothing uses: samples have no segment, and all guardrails read samples",
		"  - {name: ctr, rate: click, decrease: 2%}\n": "a tenth of falseRollback, shared by all of them",
	} {
		file := shortest + watched + cpu + more
		if more != "" {
			file += "  outcomes: {click: {within: 10m}}\n"
		}
		if text := string(Explain(parsed(t, file))); !strings.Contains(text, "# segments: risk 0.001: "+want+"\n") {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// TestExplainSaysWhatPassesHardly: where the shortest of the rounded latencies takes the margin, below which latency; and where a margin is tiny, how much a pass takes at least.
func TestExplainSaysWhatPassesHardly(t *testing.T) {
	const then = ": then write a greater margin, report latencies more finely, or don't require it"
	const dear = " (`streamcanary plan` says how long that is): else write a greater margin, or don't require it"
	tests := []struct{ guard, want string }{ // 5 % is 4 buckets of 1.09 %: 4.43 %, so (v + 2.5) / (v - 2.5) = 1.0443 at 115.4
		{"quantile: 0.99, increase: 5%", "; latencies are rounded to 5ms, so while p99 is below about 115ms a canary like the baseline can't pass" + then},
		{"quantile: 0.5, decrease: 5%", "; latencies are rounded to 5ms, so while p50 is below about 115ms a canary like the baseline can't pass" + then},
		{"distribution: latency, test: ks, increase: 50%", "; latencies are rounded to 5ms, so while the median is below about 12.6ms a canary like the baseline can't pass" + then},
		{"quantile: 0.99, above: 20ms", ""},
		{"quantile: 0.99, of: score, buckets: {from: 0, to: 1, count: 100}, increase: 0.1", ""},
		{"rate: error, increase: 0.5pp", ""},
		{"rate: error, increase: 0.005pp", "; with a rate below 10% a pass takes at least 59.9k canary requests, even if nothing happens in any" + dear},
		{"rate: error, increase: 1%", "; with a rate below 10% a pass takes at least 60.3k of the canary's events" + dear},
		{"rate: click, decrease: 1%", "; with a rate below 10% a pass takes at least 59.5k of the canary's events" + dear},
	}
	for _, test := range tests {
		text := string(Explain(parsed(t, shortest+"  latencyGranularity: 5ms\n  guardrails: [{name: a, "+test.guard+"}]\n")))
		_, row, _ := strings.Cut(text, "- {name: a, ")
		row, _, _ = strings.Cut(row, "\n")
		if _, got, _ := strings.Cut(row, "of falseRollback"); got != test.want {
			t.Errorf("%s: got\n%q\nwant\n%q", test.guard, got, test.want)
		}
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
