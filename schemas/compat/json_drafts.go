package compat

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// drafts are the metaschemas that a document may follow, the newest first. One that names none is read as the newest, but may have the keywords of all.
var drafts = []string{
	"https://json-schema.org/draft/2020-12/schema", "https://json-schema.org/draft/2019-09/schema",
	"http://json-schema.org/draft-07/schema", "http://json-schema.org/draft-06/schema", "http://json-schema.org/draft-04/schema",
}

// Places in drafts.
const (
	draft2020 = iota
	draft2019
	draft07
	draft06
	draft04
)

var draftNames = []string{"2020-12", "2019-09", "draft-07", "draft-06", "draft-04"}

// sinceDraft and untilDraft are the keywords that not all drafts have: elsewhere they say nothing.
var (
	sinceDraft = map[string]int{
		"const": draft06, "contains": draft06, "propertyNames": draft06, "if": draft07, "then": draft07, "else": draft07,
		"dependentRequired": draft2019, "dependentSchemas": draft2019, "minContains": draft2019, "maxContains": draft2019,
		"unevaluatedItems": draft2019, "unevaluatedProperties": draft2019, "$recursiveRef": draft2019, "prefixItems": draft2020, "$dynamicRef": draft2020,
	}
	untilDraft = map[string]int{"dependencies": draft07, "additionalItems": draft2019, "$recursiveRef": draft2019}
)

// knows reports whether a keyword says something in the draft that a document names.
func (t *tree) knows(key string) bool {
	return !t.named || inDraft(key, t.draft)
}

func inDraft(key string, draft int) bool {
	first, late := sinceDraft[key]
	last, gone := untilDraft[key]
	return (!late || draft <= first) && (!gone || draft >= last)
}

// dialect takes what a document names as its $schema. One that isn't known may mean anything.
func (t *tree) dialect(named any) error {
	if named == nil {
		return nil
	}
	bare := func(address string) string {
		_, rest, _ := strings.Cut(strings.TrimSuffix(address, "#"), "://")
		return rest
	}
	text, _ := named.(string)
	for i, draft := range drafts {
		if bare(text) == bare(draft) {
			t.draft, t.named, t.alone = i, true, i >= draft07
			return nil
		}
	}
	return fmt.Errorf("%s names a $schema that is not known here, %s: write it in one of %s", t.name, shown(text), strings.Join(draftNames, ", "))
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

// wellFormed returns an error of a document that is no schema of the draft that it names; where it names none, one that is no schema of any.
func (t *tree) wellFormed() error {
	metaschemas, err := compiled()
	if err != nil {
		return err
	}
	var newest error
	for i := range drafts {
		if t.named && i != t.draft {
			continue
		}
		err := metaschemas[i].Validate(t.root)
		if err == nil {
			return nil
		}
		if newest == nil {
			newest = err
		}
	}
	return t.malformed(newest)
}

// innermost is the first of the innermost causes, by where they are: the validator has them in any order.
func innermost(at *jsonschema.ValidationError) *jsonschema.ValidationError {
	first := at
	for i, cause := range at.Causes {
		if c := innermost(cause); i == 0 || slices.Compare(c.InstanceLocation, first.InstanceLocation) < 0 {
			first = c
		}
	}
	return first
}

// malformed says where a document is no schema, and why: the first of the innermost causes.
func (t *tree) malformed(err error) error {
	var at *jsonschema.ValidationError
	if !errors.As(err, &at) {
		return err
	}
	at = innermost(at)
	_, why, _ := strings.Cut(at.Error(), "': ")
	return fmt.Errorf("%s is no JSON Schema: %s: %s", t.name, shown(place{}.in(nil, at.InstanceLocation...).at), shown(why))
}
