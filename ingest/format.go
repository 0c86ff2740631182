package ingest

import (
	"fmt"
	"slices"
	"strings"

	"streamcanary/schemas"
)

// A Decoder turns records into events. It is used by one goroutine at a time and keeps nothing of a record.
type Decoder interface {
	// Decode fills one event from out.NextEvent for each event in the record. Events alias the record's bytes and
	// out's scratch. If it returns a reason, the events that it filled are void: a record is taken whole or not at all.
	Decode(r *Record, out *Batch) *Invalid
}

// Options is what a source says to its decoder.
type Options struct {
	// Want is the only kind of event in the source: then an event needs no type, and any other type is refused.
	// KindUnknown: kinds are mixed, and each event must say its type.
	Want schemas.Kind
	// MaxBytes is the most that one encoded event may have; 0, or beyond schemas.MaxEventBytes: that.
	MaxBytes int
}

func (o Options) maxBytes() int {
	if o.MaxBytes <= 0 {
		return schemas.MaxEventBytes
	}
	return min(o.MaxBytes, schemas.MaxEventBytes)
}

// A Format is one way to write events.
type Format struct {
	Name string // as in the configuration: "json"
	New  func(Options) (Decoder, error)
}

var formats = map[string]Format{}

// RegisterFormat adds a format, from an init function of the format's own file. It panics if the name is taken.
func RegisterFormat(f Format) {
	if _, taken := formats[f.Name]; taken {
		panic(fmt.Sprintf("format %q registered twice", f.Name))
	}
	formats[f.Name] = f
}

// Formats returns the names of all formats, sorted.
func Formats() []string {
	names := make([]string, 0, len(formats))
	for name := range formats {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// NewDecoder makes a decoder of the named format; an unknown name is an error that lists what exists.
func NewDecoder(name string, o Options) (Decoder, error) {
	f, ok := formats[name]
	if !ok {
		return nil, fmt.Errorf("event format %q is unknown (known: %s)", name, strings.Join(Formats(), ", "))
	}
	d, err := f.New(o)
	if err != nil {
		return nil, fmt.Errorf("event format %q: %w", name, err)
	}
	return d, nil
}
