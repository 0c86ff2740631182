package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// A difference is one place at which two JSON documents are not the same; nil: that one hasn't got it.
type difference struct {
	Path      string          `json:"path"` // as in jq: .data.reason.guardrails[0].estimate; "" of bytes that no field shows
	Published json.RawMessage `json:"published,omitempty"`
	Computed  json.RawMessage `json:"computed,omitempty"`
}

// differences are those between a body that was published and one that was computed, in the order of their paths' names and numbers.
func differences(published, computed []byte) ([]difference, error) {
	one, err := jsonValue(published)
	if err != nil {
		return nil, fmt.Errorf("the published body: %w", err)
	}
	other, err := jsonValue(computed)
	if err != nil {
		return nil, fmt.Errorf("the computed body: %w", err)
	}
	var all []difference
	compareJSON("", one, other, &all)
	if len(all) == 0 && !bytes.Equal(published, computed) {
		all = append(all, difference{Published: around(published, computed), Computed: around(computed, published)})
	}
	return all, nil
}

// jsonValue reads a document with its numbers as they are written.
func jsonValue(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	return v, d.Decode(&v)
}

// compareJSON appends where two values differ.
func compareJSON(path string, one, other any, all *[]difference) {
	switch a := one.(type) {
	case map[string]any:
		if b, is := other.(map[string]any); is {
			compareObjects(path, a, b, all)
			return
		}
	case []any:
		if b, is := other.([]any); is {
			compareLists(path, a, b, all)
			return
		}
	}
	x, y := rawJSON(one), rawJSON(other)
	if !bytes.Equal(x, y) {
		*all = append(*all, difference{path, x, y})
	}
}

func compareObjects(path string, a, b map[string]any, all *[]difference) {
	names := maps.Clone(a)
	maps.Copy(names, b)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		at := path + "." + name
		x, inA := a[name]
		y, inB := b[name]
		if inA && inB {
			compareJSON(at, x, y, all)
			continue
		}
		*all = append(*all, difference{at, rawIf(inA, x), rawIf(inB, y)})
	}
}

func compareLists(path string, a, b []any, all *[]difference) {
	for i := range max(len(a), len(b)) {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case i >= len(b):
			*all = append(*all, difference{Path: at, Published: rawJSON(a[i])})
		case i >= len(a):
			*all = append(*all, difference{Path: at, Computed: rawJSON(b[i])})
		default:
			compareJSON(at, a[i], b[i], all)
		}
	}
}

// rawIf is a value as JSON, where it is there.
func rawIf(there bool, v any) json.RawMessage {
	if !there {
		return nil
	}
	return rawJSON(v)
}

func rawJSON(v any) json.RawMessage {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // it was read from JSON
	}
	return bytes.TrimSpace(out.Bytes())
}

// aroundBytes is how much is shown of bytes that differ where no field does.
const aroundBytes = 40

// around is a document from a little before where it begins to differ from another one, as a JSON text.
func around(text, other []byte) json.RawMessage {
	at := 0
	for at < min(len(text), len(other)) && text[at] == other[at] {
		at++
	}
	from := max(0, at-aroundBytes/2)
	return rawJSON(string(text[from:min(len(text), from+aroundBytes)]))
}
