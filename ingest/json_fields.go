package ingest

// field is a key of the top level that means something to us.
type field uint8

const (
	fieldUnknown field = iota
	fieldType
	fieldID
	fieldTS
	fieldModel
	fieldVersion
	fieldLatency
	fieldError
	fieldTimeout
	fieldCode
	fieldSegment
	fieldHost
	fieldRegion
	fieldUnit
	fieldAttempt
	fieldShadow
	fieldCacheHit
	fieldScore
	fieldValues
	fieldSampledBy
	fieldName
	fieldEventID
	fieldValue
	fieldCount
)

// String returns the key.
func (f field) String() string {
	return [fieldCount]string{
		"?", "type", "id", "ts", "model", "version", "latency_ms", "error", "timeout", "code", "segment", "host",
		"region", "unit", "attempt", "shadow", "cache_hit", "score", "values", "sampled_by", "name", "event_id", "value",
	}[f]
}

// fieldOf returns the field of a key.
func fieldOf(key []byte) field {
	switch string(key) {
	case "type":
		return fieldType
	case "id":
		return fieldID
	case "ts":
		return fieldTS
	case "model":
		return fieldModel
	case "version":
		return fieldVersion
	case "latency_ms":
		return fieldLatency
	case "error":
		return fieldError
	case "timeout":
		return fieldTimeout
	case "code":
		return fieldCode
	case "segment":
		return fieldSegment
	case "host":
		return fieldHost
	case "region":
		return fieldRegion
	case "unit":
		return fieldUnit
	case "attempt":
		return fieldAttempt
	case "shadow":
		return fieldShadow
	case "cache_hit":
		return fieldCacheHit
	case "score":
		return fieldScore
	case "values":
		return fieldValues
	case "sampled_by":
		return fieldSampledBy
	case "name":
		return fieldName
	case "event_id":
		return fieldEventID
	case "value":
		return fieldValue
	}
	return fieldUnknown
}
