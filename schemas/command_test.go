package schemas

import (
	"strings"
	"testing"
)

// TestCommandsByHand: people write them, so what isn't understood is refused.
func TestCommandsByHand(t *testing.T) {
	for _, test := range []struct{ body, wantErr string }{
		{`{"id":"a","do":"retry","comment":"x","epoch":2,"by":"ada","override":true}`, ""},
		{`{"id":"a","do":"pause","comment":"x","do":"promote"}`, "key do stands there twice, the second time in line 1: remove one"},
		{`{"id":"a","do":"rollback","comment":"x","overide":true}`, `key "overide" is unknown: is "override" meant?`},
		{`{"id":"a","do":"rollback","comment":"x","zzz":1}`, `key "zzz" is unknown: there are id, do, epoch, by, comment, override, sum`},
		{`{"id":"a","do":"apply","comment":"x","sum":"` + strings.Repeat("0a", 32) + `"}`, ""},
		{`{"id":"a","do":"delete","comment":"x"}`, "sum goes with apply and delete"},
		{`{"id":"a","do":"pause","comment":"x","sum":"` + strings.Repeat("0a", 32) + `"}`, "sum goes with apply and delete, and with nothing else"},
		{`{"id":"a","do":"apply","comment":"x","sum":"abc"}`, "sum is no SHA-256"},
		{`{"id":"a","do":"rollback","comment":"  "}`, "comment is missing"},
		{`{"id":"a","do":"rollback","comment":"x","epoch":-1}`, "epoch is -1"},
		{`{"id":"a","do":"explode","comment":"x"}`, "it is one of pause, resume, advance, promote, rollback, freeze or retry"},
		{`{"do":"pause","comment":"x"}`, "id is missing"},
		{`{"id":"a","do":"pause","comment":"x","epoch":"1"}`, `decode command: epoch is "1": it must be a whole number, without quotes`},
		{`{"id":"a","do":"pause","comment":"x","epoch":1.5}`, `decode command: epoch is 1.5: it must be a whole number, without quotes`},
		{`{"id":"a","do":"pause","comment":"x","epoch":99999999999999999999}`, `decode command: epoch is 99999999999999999999: it must be a whole number`},
		{`{"id":1,"do":"pause","comment":"x"}`, `decode command: id is 1: it must be a text, in quotes`},
		{`{"id":"a","do":["pause"],"comment":"x"}`, `decode command: do is ["pause"]: it must be a text, in quotes`},
		{`{"id":"a","do":"pause","comment":{"why":"` + strings.Repeat("x", 100) + `"}}`, `decode command: comment is {"why":"` + strings.Repeat("x", 52) + `…: it must be a text, in quotes`},
		{`{"id":"a","do":"pause","comment":"x","by":false}`, `decode command: by is false: it must be a text, in quotes`},
		{`{"id":"a","do":"pause","comment":"x","override":"yes"}`, `decode command: override is "yes": it must be true or false, without quotes`},
		{`{"id":"a","do":"pause","comment":"x","override":1}`, `decode command: override is 1: it must be true or false, without quotes`},
		{`{"ID":5,"do":"pause","comment":"x"}`, `decode command: key "ID" is unknown: is "id" meant?`},
		{`{"id":"a",}`, `decode command: it is no JSON: invalid character '}' looking for beginning of object key string (byte 11)`},
		{`{"id":"a"`, `decode command: it is no JSON: unexpected end of JSON input (byte 9)`},
		{`["pause"]`, `decode command: it is no JSON object`},
	} {
		_, err := DecodeCommand([]byte(test.body))
		switch {
		case test.wantErr == "" && err != nil:
			t.Errorf("%s: %v", test.body, err)
		case test.wantErr != "" && (err == nil || !strings.Contains(err.Error(), test.wantErr)):
			t.Errorf("%s: %v, want %q", test.body, err, test.wantErr)
		}
	}
}
