package compat

import (
	"fmt"
	"strings"
)

// A Role is what two documents describe.
type Role string

// The roles. Input: requests, which callers write and a version reads. Output: answers, which a version writes and callers read.
// Features: what a model is fed.
const (
	Input    Role = "input"
	Output   Role = "output"
	Features Role = "features"
)

// A Way is one of the two directions.
type Way string

// The ways. RollingOut: the canary takes the baseline's place. RollingBack: the baseline takes the canary's again.
const (
	RollingOut  Way = "rolling out"
	RollingBack Way = "rolling back"
)

// A Finding is one thing that doesn't fit, or, where Unchecked, that can't be compared, so that nobody knows.
type Finding struct {
	Way       Way    `json:"way"`
	At        string `json:"at"`     // document, and where in it: a JSON pointer, a path, a line
	Change    string `json:"change"` // what differs
	Harm      string `json:"harm"`   // whom it hurts; "" of an unchecked one
	Do        string `json:"do"`
	Unchecked bool   `json:"unchecked,omitempty"`
}

// String is the finding in one line.
func (f Finding) String() string {
	if f.Unchecked {
		return fmt.Sprintf("can't be compared, %s: %s: %s: %s", f.Way, f.At, f.Change, f.Do)
	}
	return fmt.Sprintf("%s: %s: %s: %s: %s", f.Way, f.At, f.Change, f.Harm, f.Do)
}

// Harmful are the findings of what differs: all but those that can't be compared.
func Harmful(all []Finding) []Finding {
	var harmful []Finding
	for _, f := range all {
		if !f.Unchecked {
			harmful = append(harmful, f)
		}
	}
	return harmful
}

// pass is one direction of a comparison: what is made for the writer gets to the reader.
type pass struct {
	role           Role
	way            Way
	writer, reader Document
}

// passes are both directions, rolling out first.
func passes(role Role, baseline, canary Document) []pass {
	out, back := pass{role, RollingOut, baseline, canary}, pass{role, RollingBack, canary, baseline}
	if role == Output { // a version writes, and callers, who know the other one, read
		out.writer, out.reader, back.writer, back.reader = canary, baseline, baseline, canary
	}
	return []pass{out, back}
}

// harm says whom it hurts that what is made for the writer doesn't fit the reader.
func (p *pass) harm() string {
	arm, other := "the canary", "the baseline"
	if p.way == RollingBack {
		arm, other = "the baseline", "the canary"
	}
	switch p.role {
	case Output:
		return fmt.Sprintf("callers that know %s's answers get %s's, and may not read them", other, arm)
	case Features:
		return fmt.Sprintf("%s is fed what is made for %s", arm, other)
	}
	return fmt.Sprintf("%s gets requests made for %s, and may refuse or misread them", arm, other)
}

// Bounds of what is told.
const (
	maxFindings = 100 // of one direction; the rest is counted
	maxShown    = 80  // bytes of a name or a value
)

// shown is a name or a value for a sentence.
func shown(text string) string {
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, text)
}
