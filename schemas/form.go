package schemas

import (
	"fmt"
	"strings"
	"time"
)

// A form says what may stand at one place of a file: the tables of keys (rollout_keys.go, config_keys.go) are made
// of forms, and the parser, Explain and the JSON Schema are all driven by those tables.
type form struct {
	kind   formKind
	fields []field  // of a mapping
	item   *form    // of a list, and of a mapping with free names
	words  []string // of a word: all there are; else words that may stand instead
	low    float64  // least number; milliseconds for durations, items for lists, bytes for text
	high   float64  // greatest, in the same unit
	open   bool     // low itself is too little
	or     *form    // what may stand instead, told apart by the kind of the YAML node
	eg     string   // an example, for messages
}

type formKind uint8

const (
	mappingForm  formKind = iota + 1
	namesForm             // mapping whose keys are the user's names
	listForm              // of items
	textForm              // a string
	patternForm           // a string in which `*` stands for anything
	wordForm              // one of a few words
	numberForm            // a finite decimal number
	integerForm           // a whole number
	durationForm          // text, see ParseDuration
	marginForm            // text or number; its meaning depends on the guardrail around it
	percentForm           // text: a share such as 5%
	boolForm              // true or false
)

// A field is one key of a mapping.
type field struct {
	key     string
	form    form
	need    need
	def     string // the default, as YAML text; empty: none
	about   string // one line for a person
	example string // what to write where the key is missing
}

// need says whether a key must or may be given.
type need uint8

const (
	optional need = iota
	required
	laterElse // works at its default; other values come later
)

func mapping(fields ...field) form { return form{kind: mappingForm, fields: fields} }

func names(most int, item form) form {
	return form{kind: namesForm, item: &item, high: float64(most)}
}

func list(least, most int, item form) form {
	return form{kind: listForm, item: &item, low: float64(least), high: float64(most)}
}

func text(most int) form { return form{kind: textForm, low: 1, high: float64(most)} }

func word(words ...string) form { return form{kind: wordForm, words: words} }

func number(low, high float64) form {
	return form{kind: numberForm, low: low, high: high, eg: fmt.Sprintf("%g", high)}
}

func integer(low, high float64) form { return form{kind: integerForm, low: low, high: high} }

func duration(low, high time.Duration) form {
	return form{kind: durationForm, low: millis(low), high: millis(high), eg: FormatDuration(min(high, 10*time.Minute))}
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// above makes the lower bound itself too little.
func (f form) above() form { f.open = true; return f }

// orWord lets some words stand for a value.
func (f form) orWord(words ...string) form { f.words = words; return f }

// orForm lets another kind of node stand for a value.
func (f form) orForm(other form) form { f.or = &other; return f }

// find returns the field of a key, or nil.
func (f *form) find(key string) *field {
	for i := range f.fields {
		if f.fields[i].key == key {
			return &f.fields[i]
		}
	}
	return nil
}

// keys returns those of a mapping, in order.
func (f *form) keys() []string {
	keys := make([]string, len(f.fields))
	for i := range f.fields {
		keys[i] = f.fields[i].key
	}
	return keys
}

// wants says what may stand here, with an article.
func (f *form) wants() string {
	kinds := map[formKind]string{
		mappingForm: "a mapping of keys", namesForm: "a mapping of names", listForm: "a list", textForm: "text",
		patternForm: "text",
		numberForm:  "a number", integerForm: "a whole number", durationForm: "a duration such as " + f.eg,
		marginForm: "a margin such as 20%", percentForm: "a share such as 5%", boolForm: "true or false",
	}
	what := kinds[f.kind]
	if f.kind == wordForm {
		what = orList(f.words)
	} else if len(f.words) > 0 {
		what += " or " + orList(f.words)
	}
	if f.or != nil {
		what += ", or " + f.or.wants()
	}
	return what
}

// orList joins words for a sentence: a, b or c.
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
