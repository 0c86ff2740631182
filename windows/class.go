package windows

import "streamcanary/schemas"

// Class is what became of an event. In the end every event is in exactly one class of those of its kind (ClassesOf).
type Class uint8

// The classes of events.
const (
	Counted   Class = iota + 1 // in a sealed window
	Matched                    // an outcome that counts for a prediction
	Late                       // behind the watermark of its partition
	Duplicate                  // seen before in its partition
	Invalid                    // refused: its time, or what a decoder said
	Unmatched                  // an outcome without its prediction
	Outside                    // an outcome that came beyond `within` of its prediction
	Unused                     // an outcome or a sample that no rollout names
	Other                      // of a model, a version, a part of it or a time under no rollout
	Pending                    // not settled: held aside, in an open window, or waiting for its prediction
	numClasses
)

// String returns the class's name on the wire: "counted", "late", …
func (c Class) String() string {
	names := [numClasses]string{"unknown", "counted", "matched", "late", "duplicate", "invalid",
		"unmatched", "outside", "unused", "other", "pending"}
	if c >= numClasses {
		return names[0]
	}
	return names[c]
}

// ClassesOf returns the classes that events of a kind can be in, in the order in which they are shown.
func ClassesOf(kind schemas.Kind) []Class {
	switch kind {
	case schemas.KindPrediction:
		return []Class{Counted, Late, Duplicate, Invalid, Other, Pending}
	case schemas.KindOutcome:
		return []Class{Matched, Late, Duplicate, Invalid, Unmatched, Outside, Unused, Other, Pending}
	case schemas.KindSample:
		return []Class{Counted, Late, Invalid, Other, Unused, Pending}
	}
	return []Class{Invalid}
}

// Counts is the number of events per kind and class.
type Counts [schemas.KindSample + 1][numClasses]int64

// Of returns the events of one kind in one class.
func (c *Counts) Of(kind schemas.Kind, class Class) int64 { return c[kind][class] }

// Total returns the events of one kind.
func (c *Counts) Total(kind schemas.Kind) int64 {
	var sum int64
	for _, n := range c[kind] {
		sum += n
	}
	return sum
}

func (c *Counts) add(kind schemas.Kind, class Class, n int64) { c[kind][class] += n }

func (c *Counts) move(kind schemas.Kind, from, to Class, n int64) {
	c[kind][from] -= n
	c[kind][to] += n
}
