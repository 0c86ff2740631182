package serve

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// gaps are what an epoch's journal lacks, for who computes its decisions again: records that can't be read, and parts before which another one is missing. nil keeps nothing.
type gaps struct {
	unread int    // records
	first  string // of them
	holes  map[place]string
}

// A place is where parts follow one another.
type place struct {
	partition windows.Partition
	stream    windows.Stream
}

// mostHoles bounds those that are named.
const mostHoles = 3

// unreadable takes note of a record that says nothing.
func (g *gaps) unreadable(record *kafka.Entry, err error) {
	if g.unread++; g.unread == 1 {
		if cause := errors.Unwrap(err); cause != nil { // without the offset
			err = cause
		}
		g.first = fmt.Sprintf("offset %d of partition %d of %s (%v)", record.Offset, record.Partition, JournalTopic, err)
	}
}

// hole takes note of a part that wasn't taken, since one before it is missing; the first of its place.
func (g *gaps) hole(e *entry) {
	if g == nil {
		return
	}
	at := place{e.key.Partition, e.key.Stream}
	if _, known := g.holes[at]; !known {
		stream := strings.TrimSpace(e.key.Stream.Kind.String() + " " + e.key.Stream.Name)
		g.holes[at] = fmt.Sprintf("%s of %s/%d, the window that ends at %s", stream, e.key.Partition.Topic, e.key.Partition.Number, schemas.Time(e.part.AfterMs))
	}
}

// filled takes note of a part that was taken: what was missing before it was counted again.
func (g *gaps) filled(e *entry) {
	if g != nil {
		delete(g.holes, place{e.key.Partition, e.key.Stream})
	}
}

// text is what is missing, behind a sentence; "" where nothing is.
func (g *gaps) text() string {
	text := ""
	if g.unread > 0 {
		text = fmt.Sprintf("; it has records that can't be read, and that were passed over: %d, the first at %s", g.unread, g.first)
	}
	holes := slices.Sorted(maps.Values(g.holes))
	if len(holes) == 0 {
		return text
	}
	more := ""
	if n := len(holes) - mostHoles; n > 0 {
		holes, more = holes[:mostHoles], fmt.Sprintf(", and %d more", n)
	}
	return text + "; parts of it are missing, and none after them could be taken: " + strings.Join(holes, "; ") + more
}
