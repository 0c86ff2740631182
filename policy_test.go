package streamcanary

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The rules of this code base as data. Each test below reads the sources themselves and holds one table.

// mayImport lists, for every package of the module, the packages of the module that its code (not its tests) may import.
// A new package needs a line here.
var mayImport = map[string][]string{
	"schemas":                    {},
	"schemas/compat":             {"schemas"},
	"ingest":                     {"schemas"},
	"ingest/kafka":               {"ingest", "schemas"},
	"windows":                    {"schemas"},
	"analysis":                   {"analysis/stats", "windows", "schemas"},
	"analysis/stats":             {"windows"},
	"analysis/certify":           {"analysis", "analysis/stats", "windows", "schemas"},
	"analysis/compare":           {"analysis", "analysis/stats", "windows", "schemas"},
	"analysis/plan":              {"analysis", "analysis/stats", "windows", "schemas"},
	"decisions":                  {"analysis", "windows", "schemas"},
	"decisions/bus":              {"decisions", "decisions/subscribe/reader", "schemas"},
	"decisions/pillars":          {"decisions", "schemas", "schemas/compat"},
	"decisions/subscribe/reader": {},
	"decisions/subscribe":        {"decisions/subscribe/reader", "schemas"},
	"decisions/actuators":        {"schemas"},
	"loadgen":                    {"schemas"},
	"cmd/embed":                  {},
	"cmd/engine":                 {"schemas", "ingest", "windows", "analysis", "decisions"},
	"cmd/serve": {
		"schemas", "ingest", "ingest/kafka", "windows", "decisions", "decisions/bus", "decisions/actuators", "decisions/pillars", "cmd/embed", "cmd/engine",
	},
	"cmd/streamcanary": {
		"schemas", "ingest", "ingest/kafka", "windows", "analysis", "analysis/certify", "analysis/compare", "analysis/plan", "analysis/stats", "decisions",
		"decisions/bus", "decisions/pillars", "decisions/subscribe", "loadgen", "cmd/embed", "cmd/engine", "cmd/serve",
	},
}

// homes lists the only places where a library from outside may be imported, by prefix of the import path. `tests` allows test files, too.
var homes = []struct {
	library string
	in      []string
	tests   bool
}{
	{"github.com/twmb/franz-go/pkg/kfake", []string{"cmd/embed"}, true},
	{"github.com/twmb/avro", []string{"schemas/compat"}, false},
	{"github.com/twmb/franz-go", []string{"ingest/kafka", "cmd/embed"}, true},
	{"github.com/apache/arrow", []string{"windows"}, false},
	{"gonum.org/v1/gonum", []string{"analysis/stats"}, true},
	{"github.com/nats-io/nats-server", []string{"cmd/embed"}, true},
	{"github.com/nats-io", []string{"decisions/bus", "decisions/subscribe/reader", "decisions/subscribe"}, true},
	{"github.com/rs/zerolog", []string{"cmd/streamcanary", "cmd/serve"}, false},
	{"github.com/spf13/pflag", []string{"cmd/streamcanary"}, false},
	{"github.com/spf13/cobra", []string{"cmd/streamcanary"}, false},
	{"github.com/prometheus", []string{"cmd/serve"}, false},
	{"github.com/mattn/go-isatty", []string{"cmd/streamcanary"}, false},
	{"github.com/klauspost/compress", []string{"ingest"}, true},
	{"github.com/cespare/xxhash", []string{"windows", "loadgen"}, true},
	{"go.yaml.in/yaml", []string{"schemas", "cmd/streamcanary"}, true},
	{"github.com/santhosh-tekuri/jsonschema", []string{"schemas/compat"}, true},
	{"github.com/rogpeppe/go-internal", nil, true},
}

// pure packages have no clock, network, environment, log or random source of their own.
var pure = []string{"schemas", "schemas/compat", "windows", "analysis", "analysis/stats", "analysis/compare", "analysis/plan", "decisions"}

// impure lists what a pure package may not call.
var impure = map[string][]string{
	"time": {"Now", "Sleep", "After", "NewTimer", "NewTicker", "Since", "Until", "Tick", "AfterFunc"},
	"os":   {"Getenv", "LookupEnv", "Environ", "Exit"},
	"net":  nil, "net/http": nil, "log": nil, "log/slog": nil, "math/rand": nil, "math/rand/v2": nil, "crypto/rand": nil,
}

const (
	functionLines = 70
	levels        = 3
	fileLines     = 600
	parameters    = 4
)

var vagueNames = regexp.MustCompile(`^(utils?|common|internal|helpers?|misc|lib|base)$`)

// systems are the words that make the go tool build a file only there, when a file name ends in one.
var systems = strings.Fields(`aix android darwin dragonfly freebsd illumos ios js linux netbsd openbsd plan9 solaris wasip1 windows
	386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x wasm`)

type source struct {
	path, dir string
	test      bool
	file      *ast.File
	fset      *token.FileSet
	text      []byte
}

// sources parses every Go file of the module.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() != "." && strings.HasPrefix(d.Name(), ".")) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, source{path, filepath.ToSlash(filepath.Dir(path)), strings.HasSuffix(path, "_test.go"), file, fset, text})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %d Go files found: this test reads the module's root", len(all))
	}
	return all
}

func imports(s source) []string {
	var paths []string
	for _, i := range s.file.Imports {
		path, _ := strconv.Unquote(i.Path.Value)
		paths = append(paths, path)
	}
	return paths
}

func TestImportsRunOneWay(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || s.dir == "." {
			continue
		}
		allowed, known := mayImport[s.dir]
		if !known {
			t.Errorf("%s: package %s has no line in mayImport", s.path, s.dir)
			continue
		}
		for _, path := range imports(s) {
			if own, ok := strings.CutPrefix(path, "streamcanary/"); ok && !slices.Contains(allowed, own) {
				t.Errorf("%s imports %s; %s may import only %v", s.path, own, s.dir, allowed)
			}
		}
	}
}

func TestEveryLibraryHasOneHome(t *testing.T) {
	for _, s := range sources(t) {
		for _, path := range imports(s) {
			if !strings.Contains(path, ".") {
				continue
			}
			if why := outOfHome(s, path); why != "" {
				t.Errorf("%s imports %s: %s", s.path, path, why)
			}
		}
	}
}

// outOfHome says why a file may not import a library, or "".
func outOfHome(s source, path string) string {
	for _, h := range homes {
		if path != h.library && !strings.HasPrefix(path, h.library+"/") {
			continue
		}
		if slices.Contains(h.in, s.dir) || h.tests && s.test {
			return ""
		}
		return fmt.Sprintf("its home is %v", h.in)
	}
	return "it has no line in homes"
}

func TestThePureCoreStaysPure(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || !slices.Contains(pure, s.dir) {
			continue
		}
		for _, path := range imports(s) {
			if calls, listed := impure[path]; listed && calls == nil {
				t.Errorf("%s imports %s: the core has no clock, network, log or random source", s.path, path)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: a goroutine in the core", s.fset.Position(n.Pos()))
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Obj == nil && slices.Contains(impure[x.Name], n.Sel.Name) {
					t.Errorf("%s: %s.%s in the core", s.fset.Position(n.Pos()), x.Name, n.Sel.Name)
				}
			}
			return true
		})
	}
}

func TestFunctionsFitOneScreen(t *testing.T) {
	for _, s := range sources(t) {
		if lines := strings.Count(string(s.text), "\n"); lines > fileLines {
			t.Errorf("%s has %d lines; %d is the limit", s.path, lines, fileLines)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if lines := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1; lines > functionLines {
				t.Errorf("%s: %s has %d lines; %d is the limit", s.fset.Position(f.Pos()), f.Name.Name, lines, functionLines)
			}
			if n := f.Type.Params.NumFields(); n > parameters && !s.test {
				t.Errorf("%s: %s has %d parameters; beyond %d use a struct", s.fset.Position(f.Pos()), f.Name.Name, n, parameters)
			}
		}
	}
}

func TestFunctionsAreFlat(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
				if n := depth(f.Body); n > levels {
					t.Errorf("%s: %s has %d levels; %d is the limit", s.fset.Position(f.Pos()), f.Name.Name, n, levels)
				}
			}
		}
	}
}

// depth is how many loops and conditions of one function stand in each other. Those of a function literal are its own; an else if stands beside its if.
func depth(n ast.Node) int {
	most := 0
	var walk func(n ast.Node, level int)
	walk = func(n ast.Node, level int) {
		ast.Inspect(n, func(inner ast.Node) bool {
			next := level + 1
			switch inner := inner.(type) {
			case *ast.FuncLit:
				walk(inner.Body, 0)
				return false
			case *ast.IfStmt:
				walk(inner.Body, next)
				if other, ok := inner.Else.(*ast.IfStmt); ok {
					walk(other, level)
				} else if inner.Else != nil {
					walk(inner.Else, next)
				}
			case *ast.ForStmt:
				walk(inner.Body, next)
			case *ast.RangeStmt:
				walk(inner.Body, next)
			case *ast.SwitchStmt:
				walk(inner.Body, next)
			case *ast.TypeSwitchStmt:
				walk(inner.Body, next)
			case *ast.SelectStmt:
				walk(inner.Body, next)
			default:
				return true
			}
			most = max(most, next)
			return false
		})
	}
	walk(n, 0)
	return most
}

func TestNames(t *testing.T) {
	for _, s := range sources(t) {
		if vagueNames.MatchString(filepath.Base(s.dir)) {
			t.Errorf("%s: the folder's name doesn't say what is in it", s.dir)
		}
		stem := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(s.path), ".go"), "_test")
		if i := strings.LastIndexByte(stem, '_'); i >= 0 && slices.Contains(systems, stem[i+1:]) {
			t.Errorf("%s: a file name that ends in _%s is built only there", s.path, stem[i+1:])
		}
	}
}

func TestEveryPackageHasADoc(t *testing.T) {
	for dir := range mayImport {
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "doc.go")); err != nil {
			t.Errorf("%s has no doc.go", dir)
		}
	}
}

func TestExportedNamesAreExplained(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || s.dir == "." || strings.HasPrefix(s.dir, "cmd/streamcanary") {
			continue
		}
		for _, d := range s.file.Decls {
			for _, name := range unexplained(d) {
				t.Errorf("%s: exported %s has no comment", s.fset.Position(d.Pos()), name)
			}
		}
	}
}

// unexplained returns the exported names of a declaration that have no comment.
func unexplained(d ast.Decl) []string {
	var names []string
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if d.Doc == nil && spec.Doc == nil && spec.Name.IsExported() {
					names = append(names, spec.Name.Name)
				}
			case *ast.ValueSpec:
				if d.Doc == nil && spec.Doc == nil && spec.Comment == nil && spec.Names[0].IsExported() {
					names = append(names, spec.Names[0].Name)
				}
			}
		}
	}
	return names
}

func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	x := f.Recv.List[0].Type
	for {
		switch y := x.(type) {
		case *ast.StarExpr:
			x = y.X
		case *ast.IndexExpr:
			x = y.X
		case *ast.Ident:
			return y.IsExported()
		default:
			return false
		}
	}
}
