package stats

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

// sourceless are the exported types and functions that are no method: they carry numbers, or do arithmetic that needs no citation.
var sourceless = map[string]bool{
	"Counts": true, "Samples": true, "Values": true, "Means": true, "RankSide": true, "Pool": true, // what methods take
	"Grid": true, "DifferenceShifts": true, // numbers at equal distances
}

// TestSources: the comment of every method says where it can be looked up, or that it was derived or chosen here and what proves it; and none cites what
// somebody who has only these sources can't read.
func TestSources(t *testing.T) {
	seen := map[string]bool{}
	for name, text := range exported(t) {
		seen[name] = true
		if has := strings.Contains(text, "Source: ") || strings.Contains(text, "Sources: "); has == sourceless[name] {
			t.Errorf("%s names a source: %v, want %v", name, has, !has)
		}
		for _, elsewhere := range []string{"(section ", "project's notes", "stats-rates", "stats-latency"} {
			if strings.Contains(text, elsewhere) {
				t.Errorf("%s cites %q, which no reader of it has", name, elsewhere)
			}
		}
	}
	for name := range sourceless {
		if !seen[name] {
			t.Errorf("%s is not there any more", name)
		}
	}
	if len(seen) < 40 {
		t.Errorf("only %d names were looked at", len(seen))
	}
}

// exported are the comments of all types and functions that others can use, on one line each, but for constructors, whose type has it.
func exported(t *testing.T) map[string]string {
	t.Helper()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	for _, file := range files {
		if name := file.Name(); !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			name, doc := declared(d)
			if ast.IsExported(name) && !strings.HasPrefix(name, "New") {
				comments[name] = strings.Join(strings.Fields(doc.Text()), " ")
			}
		}
	}
	return comments
}

// declared is the name and the comment of a type or a function; empty for others.
func declared(d ast.Decl) (string, *ast.CommentGroup) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return d.Name.Name, d.Doc
		}
	case *ast.GenDecl:
		if of, ok := d.Specs[0].(*ast.TypeSpec); ok && len(d.Specs) == 1 {
			return of.Name.Name, d.Doc
		}
	}
	return "", nil
}
