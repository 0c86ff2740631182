package schemas

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Bounds of a file that a person wrote; what is beyond them is refused.
const (
	MaxFileBytes = 256 << 10
	maxFileDepth = 32
)

var fileStart = spot{1, 1}

func spotOf(n *yaml.Node) spot { return spot{n.Line, n.Column} }

// readDocument returns the root of the one YAML document in data, or nil after telling why there is none.
// Anchors, aliases and tags are refused: what a file says stands where it says it.
func (ps *problems) readDocument(data []byte) *yaml.Node {
	if len(data) > MaxFileBytes {
		ps.add(fileStart, "", "the file has %d bytes, %d are allowed", len(data), MaxFileBytes)
		return nil
	}
	if line, column, ok := invalidUTF8(data); ok {
		ps.add(spot{line, column}, "", "the file isn't UTF-8 text here: save it as UTF-8")
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	if err := decoder.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		ps.addSyntax(err)
		return nil
	}
	if len(doc.Content) == 0 || doc.Content[0].ShortTag() == "!!null" {
		ps.add(fileStart, "", "the file is empty")
		return nil
	}
	switch err := decoder.Decode(&next); {
	case err == nil && len(next.Content) > 0 && next.Content[0].ShortTag() != "!!null":
		ps.add(spotOf(next.Content[0]), "", "a second YAML document begins here: one file holds one")
	case err != nil && !errors.Is(err, io.EOF):
		ps.addSyntax(err)
	}
	if root := doc.Content[0]; root.Kind != yaml.MappingNode { // a file of tokens, say
		what := "a text"
		if root.Kind != yaml.ScalarNode {
			what = nodeKind(root)
		}
		ps.add(spotOf(root), "", "%s stands where a mapping of keys is wanted; it isn't shown, since it may be secret", what)
		return nil
	}
	ps.checkPlain(doc.Content[0], 1)
	return doc.Content[0]
}

func invalidUTF8(data []byte) (line, column int, found bool) {
	if utf8.Valid(data) {
		return 0, 0, false
	}
	line, column = 1, 1
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		if r == utf8.RuneError && size == 1 {
			break
		}
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
		data = data[size:]
	}
	return line, column, true
}

// unknownAnchor is the one message of the YAML parser that has what stands in the file.
var unknownAnchor = regexp.MustCompile(`unknown anchor '.*' referenced`)

var yamlLine = regexp.MustCompile(`line (\d+): `)

// countedFromZero are the messages of the YAML parser with a line that counts from 0; the scanner's count from 1.
var countedFromZero = []string{
	"did not find expected ',' or '}'", "did not find expected ',' or ']'", "did not find expected node content",
	"did not find expected key", "did not find expected '-' indicator", "did not find expected <document start>",
}

// addSyntax tells of a file that isn't YAML, with what the parser knows of the place.
func (ps *problems) addSyntax(err error) {
	message, line := strings.TrimPrefix(err.Error(), "yaml: "), 1
	if found := yamlLine.FindStringSubmatch(message); found != nil {
		line, _ = strconv.Atoi(found[1])
		message = strings.Replace(message, found[0], "", 1)
		if slices.Contains(countedFromZero, message) {
			line++
		}
	}
	message = unknownAnchor.ReplaceAllString(message, "an alias has no anchor, and neither is read here: put text that begins with * in quotes")
	if strings.Contains(message, "cannot start any token") {
		message += ": indent with spaces, not tabs, and put text that begins with % @ or ` in quotes"
	}
	ps.add(spot{line, 1}, "", "this isn't YAML: %s", message)
}

func (ps *problems) checkPlain(n *yaml.Node, depth int) {
	switch {
	case depth > maxFileDepth:
		ps.add(spotOf(n), "", "nested deeper than %d", maxFileDepth)
		return
	case n.Kind == yaml.AliasNode:
		ps.add(spotOf(n), "", "alias *%s: aliases aren't read here: write the value out", n.Value)
		return
	case n.Anchor != "":
		ps.add(spotOf(n), "", "anchor &%s: anchors aren't read here: remove it", n.Anchor)
	case n.Style&yaml.TaggedStyle != 0:
		ps.add(spotOf(n), "", "tag %s: tags aren't read here: remove it, and put text in quotes", n.Tag)
	}
	for _, child := range n.Content {
		ps.checkPlain(child, depth+1)
	}
}

// defaultNode parses a default of a table of keys. Its nodes have line 0: they stand in no file.
func defaultNode(text string) *yaml.Node {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil || len(doc.Content) != 1 {
		panic("default " + strconv.Quote(text) + " is no YAML")
	}
	var clear func(n *yaml.Node)
	clear = func(n *yaml.Node) {
		n.Line, n.Column = 0, 0
		for _, child := range n.Content {
			clear(child)
		}
	}
	clear(doc.Content[0])
	return doc.Content[0]
}
