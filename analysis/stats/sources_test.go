package stats

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sourceless are the exported types and functions that are no method: they carry numbers, or do arithmetic that needs no citation.
var sourceless = map[string]bool{
	"Counts": true, "Samples": true, "Values": true, "Means": true, "RankSide": true, "Pool": true, "Level": true, // what methods take
	"Grid": true, "DifferenceShifts": true, // numbers at equal distances
}

// reckons are the exported names of packages that ask these methods, and whose answer is a statistic: they are held to the same contract.
var reckons = map[string][]string{
	"../compare": {"Run"},
	"../plan":    {"FleetOf", "Make", "Stated", "Survey", "UsualHarm"},
}

// TestSources: the comment of every method says what it claims and when, what it costs, its conventions, and where it can be looked up, or that it was derived or
// chosen here and what proves it; and none cites what somebody who has only these sources can't read.
func TestSources(t *testing.T) {
	all := exported(t, ".")
	for name, n := range all {
		if !sourceless[name] || n.function || len(n.methods) > 0 {
			n.check(t, name, !sourceless[name])
		}
		if sourceless[name] && n.says("Source: ", "Sources: ") {
			t.Errorf("%s names a source, and is listed as one that needs none", name)
		}
	}
	for name := range sourceless {
		if all[name] == nil {
			t.Errorf("%s is not there any more", name)
		}
	}
	if len(all) < 40 {
		t.Errorf("only %d names were looked at", len(all))
	}
	for folder, names := range reckons {
		other := exported(t, folder)
		for _, name := range names {
			if other[name] == nil {
				t.Fatalf("%s of %s is not there any more", name, folder)
			}
			other[name].check(t, folder+": "+name, true)
		}
	}
}

// named is an exported type or function, with what its comment must speak of.
type named struct {
	comment  string // on one line
	function bool
	methods  []string        // exported ones of a type
	takes    map[string]bool // types of what the function, or a method of the type, or its constructor takes
}

// check fails where a comment lacks what a caller needs to know.
func (n *named) check(t *testing.T, name string, method bool) {
	t.Helper()
	need := func(what string, words ...string) {
		t.Helper()
		if !n.says(words...) {
			t.Errorf("%s doesn't say %s: write %q", name, what, words[0])
		}
	}
	if method {
		need("what it claims", "Claim. ")
		need("when that holds", "When. ")
		need("where it can be looked up", "Source: ", "Sources: ")
	}
	need("what it costs", "Cost: ")
	need("its conventions", "Conventions: ")
	if n.takesAny("float64", "[]float64", "Counts", "Samples", "Values", "Means") {
		need("what NaN does", "NaN")
	}
	if n.takesAny("[]windows.Bucket") {
		need("what ties do", "ties", "Ties")
	}
	if n.takesAny("[]windows.Bucket", "[]int64", "Counts", "Samples", "Values", "Means") && method {
		need("what an empty arm or block does", "empty", "Empty")
	}
	for _, elsewhere := range []string{"(section ", "project's notes", "stats-rates", "stats-latency"} {
		if n.says(elsewhere) {
			t.Errorf("%s cites %q, which no reader of it has", name, elsewhere)
		}
	}
}

func (n *named) says(any ...string) bool {
	return slices.ContainsFunc(any, func(words string) bool { return strings.Contains(n.comment, words) })
}

func (n *named) takesAny(types ...string) bool {
	return slices.ContainsFunc(types, func(one string) bool { return n.takes[one] })
}

// exported are the types and functions of a folder that others can use, but for constructors, whose type has what they would say.
func exported(t *testing.T, folder string) map[string]*named {
	t.Helper()
	all := map[string]*named{}
	var functions []*ast.FuncDecl
	for _, d := range declarations(t, folder) {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() {
				functions = append(functions, d)
			}
		case *ast.GenDecl:
			if of, ok := d.Specs[0].(*ast.TypeSpec); ok && len(d.Specs) == 1 && of.Name.IsExported() {
				all[of.Name.Name] = &named{comment: oneLine(d.Doc), takes: map[string]bool{}}
			}
		}
	}
	for _, f := range functions {
		n := owner(all, f)
		if n == nil {
			continue // a method of a type that isn't exported
		}
		if !strings.HasPrefix(oneLine(f.Doc), f.Name.Name+" ") {
			t.Errorf("the comment of %s: %s does not begin with its name", folder, f.Name.Name)
		}
		for _, field := range f.Type.Params.List {
			if len(field.Names) == 0 || field.Names[0].Name != "dst" { // which is written to
				n.takes[types.ExprString(field.Type)] = true
			}
		}
	}
	return all
}

// owner is what a function's comment belongs to: the type of a method or constructor, else the function itself, which it adds.
func owner(all map[string]*named, f *ast.FuncDecl) *named {
	if f.Recv != nil {
		n := all[strings.TrimPrefix(types.ExprString(f.Recv.List[0].Type), "*")]
		if n != nil {
			n.methods = append(n.methods, f.Name.Name)
		}
		return n
	}
	if strings.HasPrefix(f.Name.Name, "New") {
		return all[strings.TrimPrefix(types.ExprString(f.Type.Results.List[0].Type), "*")]
	}
	all[f.Name.Name] = &named{comment: oneLine(f.Doc), function: true, takes: map[string]bool{}}
	return all[f.Name.Name]
}

// declarations are those of a folder's files, but for its tests.
func declarations(t *testing.T, folder string) (all []ast.Decl) {
	t.Helper()
	files, err := filepath.Glob(folder + "/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, parsed.Decls...)
	}
	return all
}

func oneLine(doc *ast.CommentGroup) string { return strings.Join(strings.Fields(doc.Text()), " ") }
