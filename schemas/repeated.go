package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// maxNesting bounds how deep JSON is looked into for what stands twice; what is deeper is refused.
const maxNesting = 1000

// OnceEach returns an error of a JSON text in which an object has a key twice: which one of them is meant nobody knows, and readers differ. It names the
// object and the line. Of what is no JSON it says nothing.
func OnceEach(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	r := repeats{decoder: decoder, text: text}
	for r.next("", 0) {
	}
	return r.found
}

// repeats goes through a JSON text.
type repeats struct {
	decoder *json.Decoder
	text    []byte
	found   error
}

// next goes through a value, whose path is at, and reports whether there was one.
func (r *repeats) next(at string, depth int) bool {
	token, err := r.decoder.Token()
	delimiter, opens := token.(json.Delim)
	switch {
	case err != nil || opens && (delimiter == '}' || delimiter == ']'):
		return false
	case opens && depth == maxNesting:
		r.found = fmt.Errorf("it is nested deeper than %d", maxNesting)
		return false
	case opens && delimiter == '{':
		r.object(at, depth)
	case opens:
		for i := 0; r.found == nil && r.next(fmt.Sprintf("%s[%d]", at, i), depth+1); i++ {
		}
	}
	return r.found == nil
}

// object goes through the keys of an object and their values.
func (r *repeats) object(at string, depth int) {
	seen := map[string]bool{}
	for r.found == nil {
		token, err := r.decoder.Token()
		key, is := token.(string)
		if err != nil || !is {
			return
		}
		path := join(at, key)
		if seen[key] {
			line := 1 + bytes.Count(r.text[:r.decoder.InputOffset()], []byte("\n"))
			r.found = fmt.Errorf("key %s stands there twice, the second time in line %d: remove one", onOneLine(path), line)
			return
		}
		seen[key] = true
		if !r.next(path, depth+1) {
			return
		}
	}
}
