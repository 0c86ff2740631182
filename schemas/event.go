package schemas

// Kind says which of the three events an Event is.
type Kind uint8

// The kinds of events. KindUnknown is the zero value: no valid event has it.
const (
	KindUnknown Kind = iota
	KindPrediction
	KindOutcome
	KindSample
)

// String returns the kind's name on the wire ("prediction", "outcome", "sample"), or "unknown".
func (k Kind) String() string {
	switch k {
	case KindPrediction:
		return "prediction"
	case KindOutcome:
		return "outcome"
	case KindSample:
		return "sample"
	}
	return "unknown"
}

// An Event is one decoded prediction, outcome or sample: one flat struct for all three, so that
// a decoder can fill the same memory again and again. Fields that its kind doesn't have are zero.
//
// The byte slices alias the buffer that the event was decoded from: they are valid as long as that
// buffer is, and whoever keeps one must copy it.
type Event struct {
	Kind   Kind
	TimeMs int64 // event time, Unix milliseconds

	ID      []byte // the prediction's id (predictions and outcomes)
	Model   []byte // optional in outcomes
	Version []byte // optional in outcomes

	// Predictions.
	LatencyMs   float64 // milliseconds, finite, >= 0; meaningful only if HasLatency
	HasLatency  bool
	Error       bool
	Timeout     bool
	Shadow      bool
	HasCacheHit bool
	CacheHit    bool
	HasScore    bool
	Attempt     int32
	SampledBy   float64 // 1/sampling rate; 1 where the event doesn't say
	Score       float64
	Code        []byte
	Segment     []byte
	Host        []byte // samples have it, too
	Region      []byte
	Unit        []byte
	Values      []Value // in the event's order, names unique

	// Outcomes and samples.
	Name    []byte
	EventID []byte  // outcomes only
	Value   float64 // finite; an outcome's default is 1
}

// A Value is one further number of a prediction, e.g. {"ttft_ms", 31.5}.
type Value struct {
	Name   []byte
	Number float64 // finite
}

// Reset empties the event for reuse; Values keeps its memory.
func (e *Event) Reset() {
	*e = Event{Values: e.Values[:0], SampledBy: 1}
}

// Bounds of an event; a decoder refuses what is beyond them.
const (
	MaxEventBytes = 256 << 10 // of one encoded event
	MaxNameBytes  = 128       // of an id, a model, a version, any other name
	MaxDepth      = 32        // of nesting in an encoded event
	MaxValues     = 64        // further numbers of one prediction
)
