package schemas

import (
	"slices"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	tests := []struct{ name, want string }{
		{"ranker", "ranker"},
		{"AZaz09_-", "AZaz09_-"},
		{"a.b", "a=2Eb"},
		{"a=b", "a=3Db"},
		{"a b", "a=20b"},
		{"*", "=2A"},
		{">", "=3E"},
		{"ä", "=C3=A4"},
		{"\x00\xff", "=00=FF"}, // any bytes: a name need not be UTF-8
	}
	for _, test := range tests {
		token, err := EncodeName(test.name)
		if err != nil || token != test.want {
			t.Errorf("encode %q: got %q, %v, want %q", test.name, token, err, test.want)
		}
		if name, err := DecodeName(token); err != nil || name != test.name {
			t.Errorf("decode %q: got %q, %v", token, name, err)
		}
	}
}

func TestBadNames(t *testing.T) {
	for _, name := range []string{"", strings.Repeat("x", MaxNameBytes+1)} {
		if token, err := EncodeName(name); err == nil {
			t.Errorf("%q is encoded as %q", name, token)
		}
	}
	// What EncodeName never writes: lower-case hex, an encoded letter, a cut code, a bare byte; else one name had two keys.
	for _, token := range []string{"", "=2e", "=41", "=5F", "=", "=2", "a=", "a=2", "==", "=GG", "a.b", "a b", "ä", "*", strings.Repeat("x", 129), strings.Repeat("=2E", 129)} {
		if name, err := DecodeName(token); err == nil {
			t.Errorf("%q is decoded as %q", token, name)
		}
	}
}

func TestSubjects(t *testing.T) {
	tests := []struct {
		make func() (string, error)
		want string
	}{
		{func() (string, error) { return DecisionSubject("a.b") }, "streamcanary.decision.a=2Eb"},
		{func() (string, error) { return AckSubject("a", "edge 1") }, "streamcanary.ack.a.edge=201"},
		{func() (string, error) { return NoticeSubject("a", NoticeRollbackCompleted) }, "streamcanary.event.a.rollback-completed"},
		{func() (string, error) { return RouteKey("a/b") }, "a=2Fb"},
		{func() (string, error) { return SpecKey("r.1") }, "r=2E1.spec"},
		{func() (string, error) { return StateKey("r.1") }, "r=2E1.state"},
	}
	for _, test := range tests {
		if got, err := test.make(); err != nil || got != test.want {
			t.Errorf("got %q, %v, want %q", got, err, test.want)
		}
	}
	for _, make := range []func() (string, error){
		func() (string, error) { return DecisionSubject("") }, func() (string, error) { return AckSubject("a", "") },
		func() (string, error) { return NoticeSubject("a", "") }, func() (string, error) { return SpecKey("") },
	} {
		if got, err := make(); err == nil {
			t.Errorf("a missing name gives %q", got)
		}
	}
}

func TestSubjectNames(t *testing.T) {
	tests := []struct {
		subject string
		want    []string
	}{
		{"streamcanary.decision.a=2Eb", []string{"a.b"}},
		{"streamcanary.ack.a.edge=201", []string{"a", "edge 1"}},
		{"streamcanary.event.a.escalation", []string{"a", "escalation"}},
		{"streamcanary.heartbeat", nil},
		{"streamcanary.decision.", nil},
		{"streamcanary.decision.=41", nil},
		{"other", nil},
	}
	for _, test := range tests {
		got, err := SubjectNames(test.subject)
		if !slices.Equal(got, test.want) || (err == nil) != (test.want != nil) {
			t.Errorf("%s: got %q, %v, want %q", test.subject, got, err, test.want)
		}
	}
}

func FuzzNames(f *testing.F) {
	for _, seed := range []string{"ranker", "a.b", "=2E", "*", ">", " ", "ä", "\xff", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if token, err := EncodeName(name); err == nil {
			if strings.ContainsAny(token, ".*> \t") || token == "" || strings.Trim(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-=") != "" {
				t.Errorf("%q is encoded as %q", name, token)
			}
			if back, err := DecodeName(token); err != nil || back != name {
				t.Errorf("%q comes back as %q, %v", name, back, err)
			}
		} else if name != "" && len(name) <= MaxNameBytes {
			t.Errorf("%q: %v", name, err)
		}
		if back, err := DecodeName(name); err == nil {
			if token, err := EncodeName(back); err != nil || token != name {
				t.Errorf("token %q is that of %q, which has %q, %v", name, back, token, err)
			}
		}
	})
}

func TestReadable(t *testing.T) {
	for in, want := range map[string]string{
		"r-1": "r-1", "größer 例 🙂": "größer 例 🙂", "a\"b": "a\"b", "": "",
		"\x1b[31mred\x1b[0m": `"\x1b[31mred\x1b[0m"`, "a\nb": `"a\nb"`, "\u009b2J": `"\u009b2J"`, "a\u202eb": `"a\u202eb"`, "\xff": `"\xff"`,
	} {
		if got := Readable(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}
