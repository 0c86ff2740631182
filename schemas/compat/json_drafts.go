package compat

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// drafts are the metaschemas that a document may follow, the newest first.
var drafts = []string{
	"https://json-schema.org/draft/2020-12/schema", "https://json-schema.org/draft/2019-09/schema",
	"http://json-schema.org/draft-07/schema", "http://json-schema.org/draft-06/schema", "http://json-schema.org/draft-04/schema",
}

// compiled are the metaschemas of drafts.
var compiled = sync.OnceValues(func() ([]*jsonschema.Schema, error) {
	var all []*jsonschema.Schema
	for _, draft := range drafts {
		metaschema, err := jsonschema.NewCompiler().Compile(draft)
		if err != nil {
			return nil, fmt.Errorf("read the metaschema %s: %w", draft, err)
		}
		all = append(all, metaschema)
	}
	return all, nil
})

// wellFormed returns an error of a document that is no schema of the draft that it names; where it names none of them, one that is no schema of any.
func wellFormed(d Document, root any) error {
	m, _ := root.(map[string]any)
	named, _ := m["$schema"].(string)
	metaschemas, err := compiled()
	if err != nil {
		return err
	}
	var newest error
	for i, draft := range drafts {
		err := metaschemas[i].Validate(root)
		if draft == strings.TrimSuffix(named, "#") {
			return malformed(d, err)
		}
		if err == nil {
			return nil
		}
		if newest == nil {
			newest = err
		}
	}
	return malformed(d, newest)
}

// malformed says where a document is no schema, and why: the innermost cause, of which there may be more.
func malformed(d Document, err error) error {
	var at *jsonschema.ValidationError
	if !errors.As(err, &at) {
		return err
	}
	for len(at.Causes) > 0 {
		at = at.Causes[0]
	}
	_, why, _ := strings.Cut(at.Error(), "': ")
	return fmt.Errorf("%s is no JSON Schema: %s: %s", d.Name, shown(place{}.in(nil, at.InstanceLocation...).at), shown(why))
}
