package serve

import (
	"fmt"
	"strings"
	"testing"

	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// TestLostTogether: what rollouts share is said once, with their names; what is another cause, or none that is known, stands by itself.
func TestLostTogether(t *testing.T) {
	beside := func(name, other string) Standing {
		d := &desk{rollout: &schemas.Rollout{Name: name}, lost: bus.ErrLost, other: other}
		return Standing{Rollout: name, Lost: lostText(d), StandsBy: true, cause: d.cause()}
	}
	lost := func(name, cause string) Standing {
		return Standing{Rollout: name, Lost: name + " has no journal", cause: cause}
	}
	var many []Standing
	for i := range 14 {
		many = append(many, beside(fmt.Sprintf("r%02d", i), "new"))
	}
	const see = " (`streamcanary rollout show NAME` says of each how it stands, and what to do); of "
	for _, row := range []struct {
		name string
		all  []Standing
		want []string // what each line begins with
		once string
	}{
		{name: "none", all: []Standing{{Rollout: "a"}}},
		{"one stands by", []Standing{beside("a", "new"), {Rollout: "b"}}, []string{"rollout a stands by here: This serve no longer decides for rollout a"}, "stop one of them."},
		{"many stand by", many, []string{"rollouts r00, r01, r02, r03, r04, r05, r06, r07, r08, r09, 4 more stand by here" + see + "r00 it is this: This serve no longer decides"}, "another one has written its record (new)"},
		{"for two others", []Standing{beside("a", "new"), beside("b", "newest"), beside("c", "new")}, []string{"rollouts a, c stand by here" + see, "rollout b stands by here: "}, "(newest)"},
		{"two are lost by one cause", []Standing{lost("a", "no journal"), lost("b", "no journal")}, []string{"rollouts a, b are lost" + see + "a it is this: a has no journal"}, "has no journal"},
		{"and by none that is known", []Standing{lost("a", ""), lost("b", "")}, []string{"rollout a is lost: a has no journal", "rollout b is lost: b has no journal"}, "rollout b is lost"},
	} {
		var lines []string
		text := ""
		if err := lostTogether(row.all); err != nil {
			text = err.Error()
			lines = strings.Split(text, "\n")
		}
		if len(lines) != len(row.want) || row.once != "" && strings.Count(text, row.once) != 1 {
			t.Errorf("%s: %s", row.name, text)
			continue
		}
		for i, line := range lines {
			if !strings.HasPrefix(line, row.want[i]) {
				t.Errorf("%s: line %d is %s", row.name, i, line)
			}
		}
	}
}
