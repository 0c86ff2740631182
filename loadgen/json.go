package loadgen

import (
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"streamcanary/schemas"
)

// A Sink takes encoded events in the order of arrival: a Kafka topic per kind, a file. It must be done with key and value when
// Write returns. The key is the prediction's id, or a sample's host.
type Sink interface {
	Write(kind schemas.Kind, key, value []byte, arrivalMs int64) error
}

// Pump writes all that is left of a generator's events to a sink, as JSON objects without line ends, and returns how many
// it wrote. It stops at the sink's first error.
func Pump(g *Generator, to Sink) (int64, error) {
	var r Record
	var value []byte
	written := int64(0)
	for g.Next(&r) {
		value = r.AppendJSON(value[:0])
		if err := to.Write(r.Event.Kind, r.Key(), value, r.ArrivalMs); err != nil {
			return written, fmt.Errorf("write event %d of scenario %s: %w", written+1, g.s.Name, err)
		}
		written++
	}
	return written, nil
}

// Key is the record's Kafka key. It is good as long as the event's slices are.
func (r *Record) Key() []byte {
	if r.Event.Kind == schemas.KindSample {
		return r.Event.Host
	}
	return r.Event.ID
}

// AppendJSON appends the event as one JSON object without a line end: cut off in the middle if the record is broken.
// It allocates only to grow dst.
func (r *Record) AppendJSON(dst []byte) []byte {
	from := len(dst)
	dst = AppendJSON(dst, &r.Event)
	if r.Broken {
		dst = dst[:from+(len(dst)-from)/2]
	}
	return dst
}

// AppendJSON appends an event of a known kind as one JSON object without a line end, in the shape of the events' schema. Fields that
// are at their defaults are left out, except error and timeout. Bytes that aren't UTF-8 become U+FFFD; numbers must be finite.
func AppendJSON(dst []byte, e *schemas.Event) []byte {
	switch e.Kind {
	case schemas.KindPrediction:
		return appendPrediction(dst, e)
	case schemas.KindOutcome:
		dst = append(dst, `{"type":"outcome","id":`...)
		dst = appendText(dst, e.ID)
		dst = appendTime(dst, e.TimeMs)
		dst = appendField(dst, `,"model":`, e.Model)
		dst = appendField(dst, `,"version":`, e.Version)
		dst = appendField(dst, `,"name":`, e.Name)
		dst = appendField(dst, `,"event_id":`, e.EventID)
		if e.Value != 1 {
			dst = appendNumber(append(dst, `,"value":`...), e.Value)
		}
		return append(dst, '}')
	case schemas.KindSample:
		dst = append(dst, `{"type":"sample"`...)
		dst = appendTime(dst, e.TimeMs)
		dst = appendField(dst, `,"model":`, e.Model)
		dst = appendField(dst, `,"version":`, e.Version)
		dst = appendField(dst, `,"host":`, e.Host)
		dst = appendField(dst, `,"name":`, e.Name)
		dst = appendNumber(append(dst, `,"value":`...), e.Value)
		return append(dst, '}')
	}
	panic(fmt.Sprintf("encode an event of kind %d", e.Kind))
}

func appendPrediction(dst []byte, e *schemas.Event) []byte {
	dst = append(dst, `{"type":"prediction","id":`...)
	dst = appendText(dst, e.ID)
	dst = appendTime(dst, e.TimeMs)
	dst = appendField(dst, `,"model":`, e.Model)
	dst = appendField(dst, `,"version":`, e.Version)
	if e.HasLatency {
		dst = appendNumber(append(dst, `,"latency_ms":`...), e.LatencyMs)
	}
	dst = strconv.AppendBool(append(dst, `,"error":`...), e.Error)
	dst = strconv.AppendBool(append(dst, `,"timeout":`...), e.Timeout)
	dst = appendField(dst, `,"code":`, e.Code)
	dst = appendField(dst, `,"segment":`, e.Segment)
	dst = appendField(dst, `,"host":`, e.Host)
	dst = appendField(dst, `,"region":`, e.Region)
	dst = appendField(dst, `,"unit":`, e.Unit)
	if e.Attempt != 0 {
		dst = strconv.AppendInt(append(dst, `,"attempt":`...), int64(e.Attempt), 10)
	}
	if e.Shadow {
		dst = append(dst, `,"shadow":true`...)
	}
	if e.HasCacheHit {
		dst = strconv.AppendBool(append(dst, `,"cache_hit":`...), e.CacheHit)
	}
	if e.HasScore {
		dst = appendNumber(append(dst, `,"score":`...), e.Score)
	}
	if e.SampledBy != 1 {
		dst = appendNumber(append(dst, `,"sampled_by":`...), e.SampledBy)
	}
	if len(e.Values) > 0 {
		dst = appendValues(dst, e.Values)
	}
	return append(dst, '}')
}

func appendValues(dst []byte, values []schemas.Value) []byte {
	dst = append(dst, `,"values":{`...)
	for i := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendText(dst, values[i].Name), ':')
		dst = appendNumber(dst, values[i].Number)
	}
	return append(dst, '}')
}

func appendTime(dst []byte, ms int64) []byte {
	return strconv.AppendInt(append(dst, `,"ts":`...), ms, 10)
}

// appendField appends a name, quotes and colon included, and a text; nothing if the text is empty.
func appendField(dst []byte, name string, text []byte) []byte {
	if len(text) == 0 {
		return dst
	}
	return appendText(append(dst, name...), text)
}

// appendText appends a JSON string.
func appendText(dst, text []byte) []byte {
	for _, c := range text {
		if c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return appendEscaped(dst, text)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, text...)
	return append(dst, '"')
}

func appendEscaped(dst, text []byte) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r < ' ':
			dst = append(dst, '\\', 'u', '0', '0', digits[r>>4], digits[r&15])
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		default:
			dst = utf8.AppendRune(dst, r)
		}
		text = text[n:]
	}
	return append(dst, '"')
}

// appendNumber appends the shortest decimal that reads back as x. Numbers with at most four decimals, which are nearly all,
// take a short way.
func appendNumber(dst []byte, x float64) []byte {
	scaled := math.Round(x * 1e4)
	if !(x >= 0 && x < 1e9) || scaled/1e4 != x || math.Signbit(x) {
		return strconv.AppendFloat(dst, x, 'f', -1, 64)
	}
	n := int64(scaled)
	dst = strconv.AppendInt(dst, n/1e4, 10)
	rest := n % 1e4
	if rest == 0 {
		return dst
	}
	digits := [5]byte{'.', byte('0' + rest/1000), byte('0' + rest/100%10), byte('0' + rest/10%10), byte('0' + rest%10)}
	end := 5
	for digits[end-1] == '0' {
		end--
	}
	return append(dst, digits[:end]...)
}
