package compat

import "fmt"

// A Kind is the language of a document.
type Kind string

// The kinds of documents.
const (
	JSONSchema  Kind = "JSON Schema"
	Avro        Kind = "Avro schema"
	FeatureList Kind = "feature list"
)

// One is a document of the kind, with its article: "an Avro schema".
func (k Kind) One() string {
	if k == Avro {
		return "an " + string(k)
	}
	return "a " + string(k)
}

// MaxDocumentBytes bounds a document. A larger one is refused.
const MaxDocumentBytes = 1 << 20

// A Document is a schema or a feature list of one version.
type Document struct {
	Name string // as findings and errors call it: a file, a subject
	Kind Kind
	Text []byte
	// Parts are the documents elsewhere that it refers to, by the names that it has for them: what they are, e.g. "money@3" of a Schema Registry. What is
	// the same of two documents is taken for the same; it isn't read.
	Parts map[string]string
}

// Options are how documents are compared.
type Options struct {
	Ordered bool // of feature lists: their order matters
}

// Compare returns all that keeps two versions from taking each other's place, rolling out first, each in the order in which it stands in
// its documents; none: they fit. A document that can't be read is an error, which names it.
func Compare(role Role, baseline, canary Document, o Options) ([]Finding, error) {
	if baseline.Kind != canary.Kind {
		return nil, fmt.Errorf("%s is %s, and %s %s: they can't be held against each other", baseline.Name, baseline.Kind.One(), canary.Name, canary.Kind.One())
	}
	for _, d := range []Document{baseline, canary} {
		if len(d.Text) > MaxDocumentBytes {
			return nil, fmt.Errorf("%s has %d bytes, at most %d are compared", d.Name, len(d.Text), MaxDocumentBytes)
		}
	}
	compare, known := map[Kind]func(pass, Options) ([]Finding, error){JSONSchema: compareJSON, Avro: compareAvro, FeatureList: compareFeatures}[baseline.Kind]
	if !known {
		return nil, fmt.Errorf("%s is %s: that is not compared here", baseline.Name, baseline.Kind.One())
	}
	var all []Finding
	for _, p := range passes(role, baseline, canary) {
		found, err := compare(p, o)
		if err != nil {
			return nil, err
		}
		all = append(all, bounded(p, found)...)
	}
	return all, nil
}

// bounded keeps the findings of one direction within their bound.
func bounded(p pass, found []Finding) []Finding {
	if len(found) <= maxFindings {
		return found
	}
	more := Finding{
		Way: p.way, At: p.reader.Name, Change: fmt.Sprintf("%d findings more", len(found)-maxFindings),
		Harm: p.harm(), Do: "mend these first, then check again",
	}
	return append(found[:maxFindings:maxFindings], more)
}
