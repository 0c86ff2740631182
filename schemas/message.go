package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of messages, checked where they are written and where they are read. With base64 around it, the greatest
// decision still fits into a NATS message of the usual 1 MiB.
const (
	MaxDecisionBytes = 512 << 10
	MaxAckBytes      = 16 << 10
	MaxNoticeBytes   = 64 << 10
	MaxBeatBytes     = 512 << 10
	maxIDBytes       = 512
	maxRoutes        = 64
)

// maxSignedBytes is a decision in base64 with what stands around it.
const maxSignedBytes = MaxDecisionBytes/3*4 + 4096

// encodeMessage writes one JSON object: the same value gives the same bytes.
func encodeMessage(v any, most int) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	body := bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))
	if len(body) > most {
		return nil, fmt.Errorf("it has %d bytes, %d are allowed", len(body), most)
	}
	return body, nil
}

// decodeMessage reads one JSON object into v; fields that v doesn't know are passed over.
func decodeMessage(data []byte, most int, v any) error {
	if len(data) > most {
		return fmt.Errorf("it has %d bytes, %d are allowed", len(data), most)
	}
	if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return fmt.Errorf("it is no JSON object")
	}
	return json.Unmarshal(data, v)
}

// A fault collects the first thing that is wrong with a message.
type fault struct{ err error }

func (f *fault) unless(ok bool, format string, args ...any) {
	if !ok && f.err == nil {
		f.err = fmt.Errorf(format, args...)
	}
}

func (f *fault) name(what, value string) {
	f.unless(value != "", "%s is missing", what)
	f.unless(len(value) <= MaxNameBytes, "%s has %d bytes, %d are allowed", what, len(value), MaxNameBytes)
	f.unless(utf8.ValidString(value), "%s %q is not UTF-8", what, value)
}

func (f *fault) id(what, value string) {
	f.unless(value != "", "%s is missing", what)
	f.unless(len(value) <= maxIDBytes, "%s has %d bytes, %d are allowed", what, len(value), maxIDBytes)
}

func (f *fault) number(what string, value int64) {
	f.unless(value >= 1, "%s is %d: it counts from 1", what, value)
}

func oneOf[T ~string](f *fault, what string, value T, known ...T) {
	words := make([]string, len(known))
	for i, k := range known {
		words[i] = string(k)
	}
	f.unless(slices.Contains(known, value), "%s %q is unknown: there are %s", what, value, strings.Join(words, ", "))
}

// EncodeSigned writes a signed body as the value of a route: {"body": base64, "key_id", "signature": base64}.
func EncodeSigned(s Signed) ([]byte, error) {
	data, err := encodeMessage(s, maxSignedBytes)
	if err != nil {
		return nil, fmt.Errorf("encode signed body: %w", err)
	}
	return data, nil
}

// DecodeSigned reads what EncodeSigned wrote. It proves nothing: Verify the result before its body is looked at.
func DecodeSigned(data []byte) (Signed, error) {
	var s Signed
	if err := decodeMessage(data, maxSignedBytes, &s); err != nil {
		return Signed{}, fmt.Errorf("decode signed body: %w", err)
	}
	if len(s.Body) == 0 || s.KeyID == "" || len(s.Signature) == 0 {
		return Signed{}, fmt.Errorf("decode signed body: body, key_id or signature is missing")
	}
	return s, nil
}
