package ingest

import "fmt"

// A Reason is a short stable code that says why a record was refused: it is the `sc-error` header of a dead
// letter and a label of metrics, so codes are added but never renamed.
type Reason string

// The reasons for which a record is refused.
const (
	ReasonTooBig       Reason = "too_big"         // more than schemas.MaxEventBytes, or than was set
	ReasonBatchTooBig  Reason = "batch_too_big"   // a Kafka batch that decompresses beyond the bound: a pointer record stands for it
	ReasonSyntax       Reason = "broken_json"     // not one JSON object
	ReasonUTF8         Reason = "bad_utf8"        // a string that is not UTF-8
	ReasonTooDeep      Reason = "too_deep"        // nesting deeper than schemas.MaxDepth
	ReasonDuplicateKey Reason = "duplicate_key"   // one object has a key twice, wherever it stands
	ReasonType         Reason = "unknown_type"    // no type where one is needed, an unknown one, or another than the source's
	ReasonMissing      Reason = "missing_field"   // a field that the event's type requires
	ReasonFieldType    Reason = "wrong_json_type" // such as a string where a number belongs
	ReasonEmptyName    Reason = "empty_name"      // an empty string where a name is required
	ReasonLongName     Reason = "long_name"       // more than schemas.MaxNameBytes
	ReasonNotFinite    Reason = "not_finite"      // NaN, infinity, or beyond float64
	ReasonOutOfRange   Reason = "out_of_range"    // a negative latency, sampled_by below 1, …
	ReasonManyValues   Reason = "too_many_values" // more than schemas.MaxValues in `values`
	ReasonTime         Reason = "bad_time"        // neither Unix milliseconds nor RFC 3339, or outside 1970..9999
	ReasonAhead        Reason = "too_far_ahead"   // later than the broker's append time allows
	ReasonUnconfirmed  Reason = "unconfirmed"     // far ahead of its partition, and never confirmed by others
)

// Invalid says why a record is no event. Detail is one sentence for people: what is wrong, and where
// (byte positions count from 1).
type Invalid struct {
	Reason Reason
	Detail string
}

// Error returns reason and detail.
func (v *Invalid) Error() string { return string(v.Reason) + ": " + v.Detail }

// Invalidf makes an Invalid with a formatted detail.
func Invalidf(r Reason, format string, args ...any) *Invalid {
	return &Invalid{Reason: r, Detail: fmt.Sprintf(format, args...)}
}
