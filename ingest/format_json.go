package ingest

import (
	"hash/maphash"
	"math"
	"unicode/utf8"

	"streamcanary/schemas"
)

func init() {
	RegisterFormat(Format{Name: "json", New: func(o Options) (Decoder, error) {
		return &jsonDecoder{want: o.Want, most: o.maxBytes(), scan: jsonScanner{seed: maphash.MakeSeed()}}, nil
	}})
}

// jsonDecoder reads one JSON object per record. The whole text is checked first (jsonScanner); then the fields of the
// event's kind are read from it. Keys that its kind doesn't have, and null, count as not there.
type jsonDecoder struct {
	want  schemas.Kind
	most  int // bytes of one event
	scan  jsonScanner
	text  []byte // the batch's scratch
	event *schemas.Event
}

// Decode is Decoder's.
func (d *jsonDecoder) Decode(r *Record, out *Batch) *Invalid {
	d.event, d.text = out.NextEvent(), out.Text()
	d.event.Kind = d.want // what it counts as if it can't be read
	if len(r.Value) > d.most {
		return Invalidf(ReasonTooBig, "%d bytes, more than %d", len(r.Value), d.most)
	}
	if !d.scan.scan(r.Value) {
		return d.scan.bad
	}
	d.fill()
	out.SetText(d.text)
	return d.scan.bad
}

// fill reads the fields of the event's kind; what is wrong ends up in scan.bad.
func (d *jsonDecoder) fill() bool {
	e := d.event
	if !d.kind() || !d.time() {
		return false
	}
	switch e.Kind {
	case schemas.KindPrediction:
		return d.name(fieldID, &e.ID, true) && d.name(fieldModel, &e.Model, true) && d.name(fieldVersion, &e.Version, true) &&
			d.prediction()
	case schemas.KindOutcome:
		e.Value = 1
		return d.name(fieldID, &e.ID, true) && d.name(fieldName, &e.Name, true) && d.name(fieldModel, &e.Model, false) &&
			d.name(fieldVersion, &e.Version, false) && d.name(fieldEventID, &e.EventID, false) && d.number(fieldValue, &e.Value, nil)
	default:
		return d.name(fieldModel, &e.Model, true) && d.name(fieldVersion, &e.Version, true) && d.name(fieldName, &e.Name, true) &&
			d.name(fieldHost, &e.Host, false) && d.needed(fieldValue) && d.number(fieldValue, &e.Value, nil)
	}
}

// prediction reads what only predictions have.
func (d *jsonDecoder) prediction() bool {
	e := d.event
	if !d.number(fieldLatency, &e.LatencyMs, &e.HasLatency) || !d.number(fieldScore, &e.Score, &e.HasScore) ||
		!d.number(fieldSampledBy, &e.SampledBy, nil) {
		return false
	}
	if e.LatencyMs < 0 {
		return d.refuse(ReasonOutOfRange, fieldLatency, "is negative")
	}
	e.LatencyMs += 0 // minus zero becomes zero
	if !(e.SampledBy >= 1) {
		return d.refuse(ReasonOutOfRange, fieldSampledBy, "is below 1")
	}
	if !d.flag(fieldError, &e.Error, nil) || !d.flag(fieldTimeout, &e.Timeout, nil) || !d.flag(fieldShadow, &e.Shadow, nil) ||
		!d.flag(fieldCacheHit, &e.CacheHit, &e.HasCacheHit) || !d.attempt() {
		return false
	}
	return d.code() && d.name(fieldSegment, &e.Segment, false) && d.name(fieldHost, &e.Host, false) &&
		d.name(fieldRegion, &e.Region, false) && d.name(fieldUnit, &e.Unit, false) && d.numbers()
}

// has returns the value of a field that is there and not null.
func (d *jsonDecoder) has(f field) *jsonValue {
	if d.scan.seen&(1<<f) == 0 {
		return nil
	}
	v := &d.scan.values[f]
	if v.kind == tokenNull {
		return nil
	}
	return v
}

// needed refuses the event if the field isn't there.
func (d *jsonDecoder) needed(f field) bool {
	if d.has(f) != nil {
		return true
	}
	article := "a"
	if d.event.Kind == schemas.KindOutcome {
		article = "an"
	}
	d.scan.bad = Invalidf(ReasonMissing, "%s %s needs %q", article, d.event.Kind, f)
	return false
}

// refuse notes what is wrong with a field that is there.
func (d *jsonDecoder) refuse(r Reason, f field, what string) bool {
	v := &d.scan.values[f]
	return d.scan.fail(r, v.start, "%q %s: %s", f, what, quote(d.scan.text[v.start:v.end])) >= 0
}

// wrong refuses a field whose value is of another JSON type than it must be.
func (d *jsonDecoder) wrong(f field, needs string) bool {
	v := &d.scan.values[f]
	return d.scan.fail(ReasonFieldType, v.start, "%q must be %s, found %s", f, needs, v.kind) >= 0
}

// str returns the text of a string value: the record's own bytes, or unescaped into the batch's scratch.
func (d *jsonDecoder) str(v *jsonValue) []byte {
	text := d.scan.text[v.start:v.end:v.end]
	if !v.escaped {
		return text
	}
	from := len(d.text)
	d.text = appendUnescaped(d.text, text)
	return d.text[from:len(d.text):len(d.text)]
}

// kind finds the event's kind: from its type, or what the source wants.
func (d *jsonDecoder) kind() bool {
	v := d.has(fieldType)
	if v == nil {
		d.event.Kind = d.want
		if d.want == schemas.KindUnknown {
			d.scan.bad = Invalidf(ReasonType, "no \"type\", and the source mixes types (prediction, outcome, sample)")
		}
		return d.want != schemas.KindUnknown
	}
	if v.kind != tokenString {
		return d.wrong(fieldType, "a string")
	}
	switch string(d.str(v)) {
	case "prediction":
		d.event.Kind = schemas.KindPrediction
	case "outcome":
		d.event.Kind = schemas.KindOutcome
	case "sample":
		d.event.Kind = schemas.KindSample
	default:
		return d.refuse(ReasonType, fieldType, "must be prediction, outcome or sample")
	}
	if d.want != schemas.KindUnknown && d.event.Kind != d.want {
		return d.refuse(ReasonType, fieldType, "is not "+d.want.String()+", which is all that this source holds")
	}
	return true
}

// time reads `ts`.
func (d *jsonDecoder) time() bool {
	if !d.needed(fieldTS) {
		return false
	}
	var ok bool
	v := &d.scan.values[fieldTS]
	switch v.kind {
	case tokenNumber:
		d.event.TimeMs, ok = milliseconds(&v.number, d.scan.text[v.start:v.end])
	case tokenString:
		d.event.TimeMs, ok = parseRFC3339(d.str(v))
	default:
		return d.wrong(fieldTS, "a number or a string")
	}
	if !ok || d.event.TimeMs < 0 || d.event.TimeMs > timeMax {
		return d.refuse(ReasonTime, fieldTS, "is neither Unix milliseconds nor RFC 3339 (1970 to 9999)")
	}
	return true
}

// name reads a string that names something; an optional empty one counts as not there.
func (d *jsonDecoder) name(f field, to *[]byte, required bool) bool {
	v := d.has(f)
	if v == nil {
		return !required || d.needed(f)
	}
	if v.kind != tokenString {
		return d.wrong(f, "a string")
	}
	text := d.str(v)
	switch {
	case len(text) > schemas.MaxNameBytes:
		return d.refuse(ReasonLongName, f, "is longer than 128 bytes")
	case len(text) > 0:
		*to = text
	case required:
		return d.refuse(ReasonEmptyName, f, "is empty")
	}
	return true
}

// code reads `code`, which may be a whole error message: it's only shown, so a long one is cut, at a character's start.
// To refuse it would be to lose errors.
func (d *jsonDecoder) code() bool {
	v := d.has(fieldCode)
	if v == nil {
		return true
	}
	if v.kind != tokenString {
		return d.wrong(fieldCode, "a string")
	}
	text := d.str(v)
	if len(text) > schemas.MaxNameBytes {
		end := schemas.MaxNameBytes
		for !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end:end]
	}
	if len(text) > 0 {
		d.event.Code = text
	}
	return true
}

// number reads a finite number; there, where not nil, says whether it was there.
func (d *jsonDecoder) number(f field, to *float64, there *bool) bool {
	v := d.has(f)
	if v == nil {
		return true
	}
	if v.kind != tokenNumber {
		return d.wrong(f, "a number")
	}
	x, ok := v.number.float(d.scan.text[v.start:v.end])
	if !ok {
		return d.refuse(ReasonNotFinite, f, "is beyond what a float64 holds")
	}
	*to = x
	if there != nil {
		*there = true
	}
	return true
}

// flag reads true or false.
func (d *jsonDecoder) flag(f field, to *bool, there *bool) bool {
	v := d.has(f)
	if v == nil {
		return true
	}
	if v.kind != tokenTrue && v.kind != tokenFalse {
		return d.wrong(f, "true or false")
	}
	*to = v.kind == tokenTrue
	if there != nil {
		*there = true
	}
	return true
}

// attempt reads `attempt`, a whole number from 0 on.
func (d *jsonDecoder) attempt() bool {
	var n float64
	if !d.number(fieldAttempt, &n, nil) {
		return false
	}
	if n < 0 || n > math.MaxInt32 || n != math.Trunc(n) {
		return d.refuse(ReasonOutOfRange, fieldAttempt, "is no whole number from 0 to 2147483647")
	}
	d.event.Attempt = int32(n)
	return true
}

// numbers reads `values`. The text is checked already, so that only what the entries mean can be wrong.
func (d *jsonDecoder) numbers() bool {
	v := d.has(fieldValues)
	if v == nil {
		return true
	}
	if v.kind != tokenObject {
		return d.wrong(fieldValues, "an object of numbers")
	}
	s := &d.scan
	for i := s.space(v.start + 1); s.text[i] != '}'; {
		if s.text[i] == ',' {
			i = s.space(i + 1)
		}
		at, end := i, s.str(i+1)
		name := jsonValue{start: i + 1, end: end, escaped: s.escaped}
		i = s.space(s.space(end+1) + 1)
		var number jsonValue
		i = s.space(s.value(i, 2, &number))
		if number.kind != tokenNull && !d.entry(at, &name, &number) {
			return false
		}
	}
	return true
}

// entry adds one entry of `values`, whose key stands at byte at.
func (d *jsonDecoder) entry(at int, name, number *jsonValue) bool {
	e, s := d.event, &d.scan
	key := d.str(name)
	switch {
	case len(e.Values) == schemas.MaxValues:
		return s.fail(ReasonManyValues, at, "more than %d values", schemas.MaxValues) >= 0
	case len(key) == 0:
		return s.fail(ReasonEmptyName, at, "a name in \"values\" is empty") >= 0
	case len(key) > schemas.MaxNameBytes:
		return s.fail(ReasonLongName, at, "a name in \"values\" is longer than %d bytes: %s", schemas.MaxNameBytes, quote(key)) >= 0
	case number.kind != tokenNumber:
		return s.fail(ReasonFieldType, number.start, "value %s must be a number, found %s", quote(key), number.kind) >= 0
	}
	x, ok := number.number.float(s.text[number.start:number.end])
	if !ok {
		return s.fail(ReasonNotFinite, number.start, "value %s is beyond what a float64 holds", quote(key)) >= 0
	}
	e.Values = append(e.Values, schemas.Value{Name: key, Number: x})
	return true
}
