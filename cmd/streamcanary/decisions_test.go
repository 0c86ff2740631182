package main

import (
	"bytes"
	"strings"
	"testing"

	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// TestUntrusted: what somebody else has written into the decision log is marked there.
func TestUntrusted(t *testing.T) {
	key, other := testSigner(t, "a"), testSigner(t, "b")
	own := schemas.NewTrust(key.Public())
	body := []byte(`{"id":"ranker-42.1.3"}`)
	changed := key.Sign(body)
	changed.Body = []byte(`{"id":"ranker-42.9.9"}`)
	tests := []struct {
		name    string
		trusted *schemas.Trust
		signed  schemas.Signed
		want    string // "": it is not marked
	}{
		{"as published", &own, key.Sign(body), ""},
		{"by another key", &own, other.Sign(body), "key is not trusted"},
		{"changed", &own, changed, "signature doesn't fit the bytes"},
		{"not signed", &own, schemas.Signed{Body: body}, "it is not signed"},
		{"not signed, and nobody knows the keys", nil, schemas.Signed{Body: body}, "it is not signed"},
		{"signed, and nobody knows the keys", nil, other.Sign(body), ""},
	}
	for _, test := range tests {
		for _, asJSON := range []bool{false, true} {
			var out, err bytes.Buffer
			l := bus.Logged{Sequence: 171, Signed: test.signed, Decision: &schemas.Decision{ID: "ranker-42.1.3"}}
			if err := untrusted(&console{out: &out, err: &err, json: asJSON}, test.trusted, &l); err != nil {
				t.Fatal(err)
			}
			said, silent := &out, &err
			if asJSON {
				said, silent = &err, &out // standard output has what was published, and nothing else
			}
			marked := strings.Contains(said.String(), "NOT TRUSTED (message 171 of stream STREAMCANARY): verify: ") && strings.Contains(said.String(), test.want)
			if silent.Len() > 0 || marked != (test.want != "") || !marked && said.Len() > 0 {
				t.Errorf("%s, json %v: said %q, elsewhere %q, want %q", test.name, asJSON, said, silent, test.want)
			}
		}
	}
}

func testSigner(t *testing.T, seed string) *schemas.SigningKey {
	t.Helper()
	key, err := schemas.NewSigningKey(strings.NewReader(strings.Repeat(seed, 64)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}
