package schemas

import (
	"fmt"
	"strings"
	"testing"
)

func TestOnceEach(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{`{"a": 1, "b": {"a": 1}, "c": [{"a": 1}, {"a": 2}]}`, ""},
		{`{"a": 1, "b": 2, "a": 3}`, "key a stands there twice, the second time in line 1: remove one"},
		{"{\"properties\": {\n\"age\": {\"type\": \"integer\"},\n\"age\": {}}}", "key properties.age stands there twice, the second time in line 3: remove one"},
		{`[1, {"x": [[], {"y": {}, "y": []}]}]`, "key [1].x[1].y stands there twice, the second time in line 1: remove one"},
		{`{"a": {}, "\u0061": 1}`, "key a stands there twice, the second time in line 1: remove one"},
		{`{"a": 1, "A": 2}`, ""},
		{`{"a": 1} {"b": 1, "b": 1}`, "key b stands there twice, the second time in line 1: remove one"},
		{`{"a": 1, "a"`, "key a stands there twice, the second time in line 1: remove one"},
		{`{"a": `, ""},
		{"", ""},
		{"x", ""},
		{strings.Repeat(`{"a":`, 2000), "it is nested deeper than 1000"},
		{strings.Repeat(`[`, 2000), "it is nested deeper than 1000"},
	} {
		got := ""
		if err := OnceEach([]byte(test.text)); err != nil {
			got = fmt.Sprint(err)
		}
		if got != test.want {
			t.Errorf("%.60s: %q, want %q", test.text, got, test.want)
		}
	}
}
