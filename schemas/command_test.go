package schemas

import (
	"strings"
	"testing"
)

// TestCommandsByHand: people write them, so what isn't understood is refused.
func TestCommandsByHand(t *testing.T) {
	for _, test := range []struct{ body, wantErr string }{
		{`{"id":"a","do":"retry","comment":"x","epoch":2,"by":"ada","override":true}`, ""},
		{`{"id":"a","do":"rollback","comment":"x","overide":true}`, `key "overide" is unknown: is "override" meant?`},
		{`{"id":"a","do":"rollback","comment":"x","zzz":1}`, `key "zzz" is unknown: there are id, do, epoch, by, comment, override`},
		{`{"id":"a","do":"rollback","comment":"  "}`, "comment is missing"},
		{`{"id":"a","do":"rollback","comment":"x","epoch":-1}`, "epoch is -1"},
		{`{"id":"a","do":"explode","comment":"x"}`, "it is one of pause, resume, advance, promote, rollback, freeze or retry"},
		{`{"do":"pause","comment":"x"}`, "id is missing"},
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
