package compat

import (
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/avro"

	"streamcanary/schemas"
)

// compareAvro tells the first thing that keeps what is written with one schema from being read with the other one, by the rules of schema
// resolution (Avro 1.12 specification, "Schema Resolution"); where nothing does, what means something else by its logical type.
func compareAvro(p pass, _ Options) ([]Finding, error) {
	writer, err := parseAvro(p.writer)
	if err != nil {
		return nil, err
	}
	reader, err := parseAvro(p.reader)
	if err != nil {
		return nil, err
	}
	err = avro.CheckCompatibility(writer, reader)
	if err == nil {
		return compareLogical(p, writer, reader), nil
	}
	var why *avro.CompatibilityError
	if !errors.As(err, &why) {
		return nil, fmt.Errorf("hold %s against %s: %w", p.reader.Name, p.writer.Name, err)
	}
	change, do := avroWords(p, why)
	return []Finding{{Way: p.way, At: p.reader.Name + " at " + shown(why.Path), Change: change, Harm: p.harm(), Do: do + "; there may be more behind it"}}, nil
}

func parseAvro(d Document) (*avro.Schema, error) {
	s, err := avro.Parse(string(d.Text))
	if err != nil {
		return nil, fmt.Errorf("%s is no Avro schema: %s", d.Name, shown(strings.TrimPrefix(err.Error(), "avro: ")))
	}
	if err := schemas.OnceEach(d.Text); err != nil {
		return nil, fmt.Errorf("%s: %w", d.Name, err)
	}
	return s, nil
}

// avroWords says what differs, and what to do.
func avroWords(p pass, e *avro.CompatibilityError) (change, do string) {
	here, there := shown(e.ReaderType), shown(e.WriterType)
	switch {
	case strings.HasPrefix(e.Detail, "reader field has no default"):
		return fmt.Sprintf("field of type %s has no default, and is not in %s", here, p.writer.Name), "give it a default"
	case strings.HasPrefix(e.Detail, "writer enum symbol"):
		return fmt.Sprintf("%s (writer: %s, reader: %s)", shown(e.Detail), p.writer.Name, p.reader.Name), "let the reader have the symbol first, or give its enum a default"
	case strings.HasSuffix(e.Detail, "names do not match"):
		return fmt.Sprintf("it is named %s here, and %s in %s", here, there, p.writer.Name), fmt.Sprintf("keep the name, or give %s the alias %s", here, there)
	case strings.Contains(e.Detail, "branch"):
		return fmt.Sprintf("the union has no branch for %s, which %s has", there, p.writer.Name), "keep the branch in both"
	case e.Detail == "incompatible types":
		return fmt.Sprintf("it is %s here, and %s in %s", here, there, p.writer.Name), "take a type that the other is promoted to, or add a new field with a default"
	}
	return fmt.Sprintf("%s (here %s, in %s %s)", shown(e.Detail), here, p.writer.Name, there), "let both be the same, or add a new field with a default"
}
