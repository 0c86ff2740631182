package schemas

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents are those whose keys and examples are held against the forms of files.
var documents = []string{"../README.md", "../deploy/ROLLOUTS.md", "../deploy/OPERATING.md", "../ARCHITECTURE.md", "../deploy/PROTOCOL.md", "../deploy/MEASURED.md"}

// elsewhere are words of documents that look like keys of our files and are others': fields of messages, settings of other systems, names of code.
var elsewhere = map[string]bool{
	"cache.activate": true, "reason.skew": true, "data.id": true, "data.model": true, "epoch.seq": true, // of decisions
	"why: policy": true, "why: stale-epoch": true, // of acks
	"failureLimit: 3": true, "generatorURL": true, "startsAt": true, "send_resolved: true": true, // of Argo and Alertmanager
	"doc.go": true, "test: ks": true,
}

var (
	blocks = regexp.MustCompile("(?s)```.*?```")
	spans  = regexp.MustCompile("`([^`\n]+)`")
	// key is a path of keys, or a key and its value, as a document names it.
	key = regexp.MustCompile(`^([a-z][a-zA-Z]*(?:\.[a-z][a-zA-Z]*)*)(: .+)?$`)
)

// forms are all keys of both files, by their paths without the marks of lists.
func forms() map[string]*field {
	all := map[string]*field{}
	var walk func(f *form, path string)
	walk = func(f *form, path string) {
		for ; f != nil; f = f.or {
			for i := range f.fields {
				at := join(path, f.fields[i].key)
				all[at] = &f.fields[i]
				walk(&f.fields[i].form, at)
			}
			if f.item != nil {
				walk(f.item, path)
			}
		}
	}
	walk(&rolloutForm, "")
	walk(&configForm, "")
	return all
}

// TestKeysInDocuments: each key that a document names exists, takes the value that stands behind it, and is said to be where it is: `rollback.drainWithin`, or in
// an example, not only `drainWithin`.
func TestKeysInDocuments(t *testing.T) {
	all := forms()
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, span := range spans.FindAllStringSubmatch(blocks.ReplaceAllString(string(text), ""), -1) {
			m := key.FindStringSubmatch(span[1])
			if m == nil || elsewhere[span[1]] || strings.HasPrefix(span[1], "streamcanary.") {
				continue
			}
			name, value := m[1], m[2]
			if value == "" && strings.ToLower(name) == name && !strings.Contains(name, ".") {
				continue // a word like any other
			}
			if value == "" && strings.Contains(name, ".") && regexp.MustCompile(`\.[A-Z]|\.go$`).MatchString(name) {
				continue
			}
			found++
			checkNamed(t, all, named{document, string(text), name, value})
		}
		t.Logf("%s names %d keys", document, found)
	}
}

// named is a key that a document names.
type named struct{ document, text, name, value string }

func checkNamed(t *testing.T, all map[string]*field, n named) {
	t.Helper()
	var wrong []string
	places, top := 0, false
	for path, f := range all {
		if path != n.name && !strings.HasSuffix(path, "."+n.name) {
			continue
		}
		places++
		top = top || path == n.name || path == "spec."+n.name
		problem := problems{file: n.document}
		if n.value != "" {
			if node := problem.readDocument([]byte(n.name[strings.LastIndexByte(n.name, '.')+1:] + n.value)); node != nil {
				checker{&problem, &rolloutForm}.check(node.Content[1], &f.form, path)
			}
		}
		if len(problem.list) > 0 {
			wrong = append(wrong, problem.list[0].String())
		}
	}
	base := n.name[strings.LastIndexByte(n.name, '.')+1:]
	told := top || placed[base] || strings.Contains(n.name, ".") || regexp.MustCompile(`[a-zA-Z]\.`+base+"`|\\{[^`\n]*\\b"+base+":|\n    +- \\{[^\n]*\\b"+base+":").MatchString(n.text)
	switch {
	case places == 0:
		t.Errorf("%s: `%s%s` is no key of a rollout or a configuration", n.document, n.name, n.value)
	case len(wrong) == places:
		slices.Sort(wrong)
		t.Errorf("%s: `%s%s`: %s", n.document, n.name, n.value, wrong[0])
	case !told:
		t.Errorf("%s: `%s` is named, and nowhere what it belongs to", n.document, n.name)
	}
}

// placed are keys of which a sentence says where they belong: tokenFile and tokenEnv are of each server under sinks and registries.
var placed = map[string]bool{"tokenFile": true, "tokenEnv": true}

// TestExamplesInDocuments: the examples of the documents are read, strictly, within the least rollout, or as a configuration.
func TestExamplesInDocuments(t *testing.T) {
	read := 0
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			yaml := block[1]
			if strings.HasPrefix(yaml, "route:") || strings.HasPrefix(yaml, "layered_runtime:") { // Alertmanager's, and Envoy's
				continue
			}
			read++
			if err := readExample(document, yaml); err != nil {
				t.Errorf("%s\n%v", yaml, err)
			}
		}
	}
	if read < 12 {
		t.Errorf("only %d examples were found", read)
	}
}

// readExample reads an example as what it begins like.
func readExample(document, yaml string) error {
	const head = "kind: Rollout\nmetadata: {name: x}\nspec:\n  model: ranker\n"
	const arms = "  baseline: {version: \"41\"}\n  canary: {version: \"42\"}\n"
	var err error
	switch {
	case strings.HasPrefix(yaml, "  baseline:"):
		_, err = ParseRollout(document, []byte(head+yaml))
	case strings.HasPrefix(yaml, "  cache:"): // warming is between the shares of stages
		_, err = ParseRollout(document, []byte(head+arms+"  stages: [{weight: 10}]\n"+yaml))
	case strings.HasPrefix(yaml, "  "):
		_, err = ParseRollout(document, []byte(head+arms+yaml))
	case strings.HasPrefix(yaml, "apiVersion"):
		_, err = ParseRollout(document, []byte(yaml))
	default:
		_, err = ParseConfig(document, []byte(yaml))
	}
	return err
}

var (
	link    = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	noSlug  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// TestLinksInDocuments: each link of a document to a file or a heading of ours leads there, in every document of the repository.
func TestLinksInDocuments(t *testing.T) {
	found := 0
	for document, text := range everyDocument(t) {
		for _, m := range link.FindAllStringSubmatch(spans.ReplaceAllString(text, ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			found++
			path, anchor, _ := strings.Cut(m[1], "#")
			target := document
			if path != "" {
				target = filepath.Join(filepath.Dir(document), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: (%s) leads to no file", document, m[1])
			} else if anchor != "" && !slices.Contains(anchors(t, target), anchor) {
				t.Errorf("%s: (%s) leads to no heading; there are %s", document, m[1], strings.Join(anchors(t, target), ", "))
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d links were found", found)
	}
}

// everyDocument is the text of each of them, without its blocks of code.
func everyDocument(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != "..":
			return fs.SkipDir
		case filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		all[path] = blocks.ReplaceAllString(string(text), "")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range documents {
		if all[document] == "" {
			t.Errorf("%s was not found", document)
		}
	}
	return all
}

// anchors are the names by which the headings of a document are linked to.
func anchors(t *testing.T, document string) []string {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range heading.FindAllStringSubmatch(blocks.ReplaceAllString(string(text), ""), -1) {
		all = append(all, strings.ReplaceAll(noSlug.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return all
}
