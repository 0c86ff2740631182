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
	const see = ": `streamcanary rollout show NAME` says of each how it stands, and what to do"
	for _, row := range []struct {
		name string
		all  []Standing
		want []string // what each line ends with
		once string
	}{
		{name: "none", all: []Standing{{Rollout: "a"}}},
		{"one stands by", []Standing{beside("a", "new"), {Rollout: "b"}}, []string{"stop one of them."}, "rollout a stands by here: This serve no longer decides for rollout a"},
		{"many stand by", many, []string{"So it is with r01, r02, r03, r04, r05, r06, r07, r08, r09, r10, 3 more" + see}, "another one has written its record (new)"},
		{"for two others", []Standing{beside("a", "new"), beside("b", "newest"), beside("c", "new")}, []string{"So it is with c" + see, "stop one of them."}, "(newest)"},
		{"two are lost by one cause", []Standing{lost("a", "no journal"), lost("b", "no journal")}, []string{"rollout a is lost: a has no journal. So it is with b" + see}, "has no journal"},
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
			if !strings.HasSuffix(line, row.want[i]) {
				t.Errorf("%s: line %d is %s", row.name, i, line)
			}
		}
	}
}
