package decisions

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Outcome is what came of a command that was taken; false: none of its id was. One that has the id of another command is refused, and nothing more.
func (s *State) Outcome(c *Command) (Commanded, bool) {
	x, taken := s.outcome(c.ID)
	if !taken || x.Sum == "" || x.Sum == c.Sum() {
		return x, taken
	}
	return Commanded{ID: c.ID, Refused: fmt.Sprintf("id %s was given to another command of this rollout: nothing is done; give this one an id of its own", c.ID)}, true
}

// outcome is what is kept of an id.
func (s *State) outcome(id string) (Commanded, bool) {
	if id == "" {
		return Commanded{}, false
	}
	if i := slices.IndexFunc(s.Commanded, func(x Commanded) bool { return x.ID == id }); i >= 0 {
		return s.Commanded[i], true
	}
	key := keyOf(id)
	i := slices.IndexFunc(s.Spent, func(x Spent) bool { return x.Key == key })
	if i < 0 {
		return Commanded{}, false
	}
	first, _, _ := strings.Cut(s.First(), ".") // the rollout's name as one token, without a dot
	return Commanded{ID: id, Sum: s.Spent[i].Sum, Decision: first + "." + s.Spent[i].Number}, true
}

// keyOf stands for an id in State.Spent.
func keyOf(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:8])
}

// Remember keeps what came of a command; one without an id isn't kept.
func (s *State) Remember(x Commanded) {
	if x.ID == "" {
		return
	}
	s.Commanded = append(s.Commanded, x)
	for len(s.Commanded) > MaxCommanded {
		s.spend(&s.Commanded[0])
		s.Commanded = s.Commanded[1:]
	}
}

// spend keeps the id of a command that was obeyed, without its words.
func (s *State) spend(x *Commanded) {
	_, number, obeyed := strings.Cut(x.Decision, ".")
	if !obeyed {
		return
	}
	s.Spent = append(s.Spent, Spent{Key: keyOf(x.ID), Sum: x.Sum, Number: number})
	s.Spent = s.Spent[max(0, len(s.Spent)-MaxSpent):]
}
