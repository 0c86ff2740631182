package schemas

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Bounds of what is told about one file: problems beyond MaxProblems are counted, not shown.
const (
	MaxProblems  = 20
	problemsKept = 1000 // the rest of a hopeless file isn't even looked at
)

// A Problem is one thing that is wrong with a file that a person wrote.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line"`   // from 1
	Column int    `json:"column"` // from 1
	Key    string `json:"key"`    // full path, e.g. spec.guardrails[2].increase; empty for the file as a whole
	Text   string `json:"text"`   // what is wrong, and what to do
}

// String returns file:line:column: key: text.
func (p Problem) String() string {
	where := fmt.Sprintf("%s:%d:%d: ", p.File, p.Line, p.Column)
	if p.Key != "" {
		where += p.Key + ": "
	}
	return where + p.Text
}

// A FileError is all that is wrong with a file, by line. Problems is never empty, and holds at most MaxProblems.
type FileError struct {
	Problems []Problem
	More     int // problems that were found beyond those
}

// Error returns the problems, one per line.
func (e *FileError) Error() string {
	lines := make([]string, 0, len(e.Problems)+1)
	for _, p := range e.Problems {
		lines = append(lines, p.String())
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("%s: and %d more", e.Problems[0].File, e.More))
	}
	return strings.Join(lines, "\n")
}

// problems collects what is wrong with one file.
type problems struct {
	file string
	list []Problem
}

// A spot is a place in a file, from line 1 and column 1; what stands in no file is told at its beginning.
type spot struct{ line, column int }

func (ps *problems) add(at spot, key, format string, args ...any) {
	if len(ps.list) >= problemsKept {
		return
	}
	p := Problem{ps.file, max(at.line, 1), max(at.column, 1), key, fmt.Sprintf(format, args...)}
	if !slices.Contains(ps.list, p) {
		ps.list = append(ps.list, p)
	}
}

// under says whether something is wrong at a key or inside it.
func (ps *problems) under(key string) bool {
	return slices.ContainsFunc(ps.list, func(p Problem) bool {
		rest, found := strings.CutPrefix(p.Key, key)
		return found && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// err returns nil if nothing is wrong, else a *FileError.
func (ps *problems) err() error {
	if len(ps.list) == 0 {
		return nil
	}
	slices.SortStableFunc(ps.list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Key, b.Key))
	})
	shown := min(len(ps.list), MaxProblems)
	return &FileError{Problems: ps.list[:shown], More: len(ps.list) - shown}
}
