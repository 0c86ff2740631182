package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"streamcanary/schemas"
)

// event puts members into a valid prediction.
func event(members string) string {
	return `{"type":"prediction","id":"p","ts":1,"model":"m","version":"v"` + members + `}`
}

const eventText = `prediction ts=1 id="p" model="m" version="v"`

// long is a name at the bound.
var long = strings.Repeat("n", schemas.MaxNameBytes)

// values writes a member with n values.
func values(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `%s"v%d":%d`, strings.Repeat(",", min(i, 1)), i, i)
	}
	return `,"values":{` + b.String() + `}`
}

// many writes more members than are compared one by one, and then another.
func many(twice string) string {
	var b strings.Builder
	for i := range 3 * fewKeys {
		fmt.Fprintf(&b, `,"k%d":0`, i)
	}
	return b.String() + twice
}

// jsonRows has a row for each thing that a JSON event may be or not be.
var jsonRows = []struct{ name, in, want string }{
	// Not one object.
	{"empty", ``, `broken_json: at byte 1: an event must be one object, found the end`},
	{"spaces", ` `, `broken_json: at byte 2: an event must be one object, found the end`},
	{"array", `[1]`, `broken_json: at byte 1: an event must be one object, found "["`},
	{"text", `hello world`, `broken_json: at byte 1: an event must be one object, found "hello"`},
	{"two objects", event("") + event(""), `broken_json: at byte 64: more after the object: "{"`},
	{"no end", `{`, `broken_json: at byte 2: a key in quotes is needed, found the end`},
	{"comma at the end", `{"a":1,}`, `broken_json: at byte 8: a key in quotes is needed, found "}"`},
	{"comma at the start", `{,"a":1}`, `broken_json: at byte 2: a key in quotes is needed, found ","`},
	{"no comma", `{"a":1 "b":2}`, `broken_json: at byte 8: a comma or '}' is needed, found "\""`},
	{"no colon", `{"a" 1}`, `broken_json: at byte 6: a colon is needed after key "a", found "1"`},
	{"no value", `{"a":}`, `broken_json: at byte 6: a value is needed, found "}"`},
	{"no value at the end", `{"a":`, `broken_json: at byte 6: a value is needed, found the end`},
	{"word", `{"a":yes}`, `broken_json: at byte 6: a value is needed, found "yes"`},
	{"long word", `{"a":` + strings.Repeat("y", 99), `broken_json: at byte 6: a value is needed, found "` + strings.Repeat("y", 40) + `"…`},
	{"truth cut short", `{"a":tru}`, `broken_json: at byte 6: a value is needed, found "tru"`},
	{"single quotes", `{'a':1}`, `broken_json: at byte 2: a key in quotes is needed, found "'a'"`},
	{"wrong bracket", `{"a":[1}`, `broken_json: at byte 8: a comma or ']' is needed, found "}"`},
	{"comma in array", `{"a":[1,]}`, `broken_json: at byte 9: a value is needed, found "]"`},
	{"comment", `{"a":1 /* no */}`, `broken_json: at byte 8: a comma or '}' is needed, found "/*"`},
	{"null byte", "{\"a\":1}\x00", `broken_json: at byte 8: more after the object: "\x00"`},

	// Strings.
	{"string without end", `{"a":"b`, `broken_json: at byte 8: a string has no end`},
	{"newline in string", "{\"a\":\"b\n\"}", `broken_json: at byte 8: control character 0x0a in a string`},
	{"unknown escape", `{"a":"\x41"}`, `broken_json: at byte 7: "\\x41\"}" is no escape`},
	{"half an escape", `{"a":"\u00g0"}`, `broken_json: at byte 7: "\\u00g0" is no escape`},
	{"escape at the end", `{"a":"\`, `broken_json: at byte 7: "\\" is no escape`},
	{"not UTF-8", "{\"a\":\"0123456789\xff\"}", `bad_utf8: at byte 17: byte 0xff is not UTF-8`},
	{"overlong UTF-8", "{\"a\":\"\xc0\xaf\"}", `bad_utf8: at byte 7: byte 0xc0 is not UTF-8`},
	{"UTF-8 surrogate", "{\"a\":\"\xed\xa0\x80\"}", `bad_utf8: at byte 7: byte 0xed is not UTF-8`},
	{"UTF-8 cut short", "{\"a\":\"\xe2\x82\"}", `bad_utf8: at byte 7: byte 0xe2 is not UTF-8`},
	{"key not UTF-8", "{\"\xff\":1}", `bad_utf8: at byte 3: byte 0xff is not UTF-8`},
	{"half a pair", event(`,"code":"\ud83d"`), eventText + ` code="` + "\ufffd" + `"`},
	{"pair the wrong way", event(`,"code":"\ude00\ud83d"`), eventText + ` code="` + "\ufffd\ufffd" + `"`},
	{"first half, then a letter", event(`,"code":"\ud83d\u0041"`), eventText + ` code="` + "\ufffdA" + `"`},
	{"pair", event(`,"code":"\uD83D\uDE00"`), eventText + ` code="😀"`},

	// Numbers.
	{"leading zero", `{"a":01}`, `broken_json: at byte 6: "01" is no number`},
	{"minus alone", `{"a":-}`, `broken_json: at byte 6: "-" is no number`},
	{"point alone", `{"a":1.}`, `broken_json: at byte 6: "1." is no number`},
	{"no digits before the point", `{"a":.5}`, `broken_json: at byte 6: a value is needed, found ".5"`},
	{"plus", `{"a":+1}`, `broken_json: at byte 6: a value is needed, found "+1"`},
	{"exponent without digits", `{"a":1e+}`, `broken_json: at byte 6: "1e+" is no number`},
	{"hexadecimal", `{"a":0x10}`, `broken_json: at byte 7: a comma or '}' is needed, found "x10"`},
	{"NaN", `{"latency_ms":NaN}`, `not_finite: at byte 15: NaN is not finite`},
	{"infinity", `{"latency_ms":Infinity}`, `not_finite: at byte 15: Infinity is not finite`},
	{"minus infinity", `{"latency_ms":-Infinity}`, `not_finite: at byte 15: -Infinity is not finite`},
	{"overflow", event(`,"latency_ms":1e309`), `not_finite: at byte 77: "latency_ms" is beyond what a float64 holds: "1e309"`},
	{"overflow of the exponent", event(`,"score":1e99999999999`), `not_finite: at byte 72: "score" is beyond what a float64 holds: "1e99999999999"`},
	{"underflow", event(`,"score":1e-999`), eventText + ` score=0`},
	{"largest", event(`,"score":1.7976931348623157e308`), eventText + ` score=1.7976931348623157e+308`},
	{"many digits", event(`,"score":0.1000000000000000055511151231257827021181583404541015625`), eventText + ` score=0.1`},
	{"17 digits", event(`,"score":102.48293847561234`), eventText + ` score=102.48293847561234`},
	{"overflow where nobody looks", event(`,"other":1e309`), eventText},

	// Depth, duplicates.
	{"32 deep", event(`,"a":` + strings.Repeat("[", 31) + strings.Repeat("]", 31)), eventText},
	{"33 deep", event(`,"a":` + strings.Repeat("[", 32) + strings.Repeat("]", 32)), `too_deep: at byte 99: nesting is deeper than 32`},
	{"a million deep", `{"a":` + strings.Repeat(`[`, 200_000), `too_deep: at byte 37: nesting is deeper than 32`},
	{"33 objects deep", `{"a":` + strings.Repeat(`{"a":`, 200), `too_deep: at byte 161: nesting is deeper than 32`},
	{"known key twice", event(`,"id":"q"`), `duplicate_key: at byte 64: key "id" is there twice`},
	{"known key twice, once escaped", event(`,"\u0069d":"q"`), `duplicate_key: at byte 64: key "id" is there twice`},
	{"unknown key twice", `{"a":1,"b":2,"a":3}`, `duplicate_key: at byte 14: key "a" is there twice`},
	{"unknown key twice, once escaped", `{"a":1,"\u0061":3}`, `duplicate_key: at byte 8: key "a" is there twice`},
	{"nested key twice", `{"a":{"x":1,"x":2}}`, `duplicate_key: at byte 13: key "x" is there twice`},
	{"key twice in an array's object", `{"a":[0,{"x":1,"x":2}]}`, `duplicate_key: at byte 16: key "x" is there twice`},
	{"value's key twice", event(`,"values":{"x":1,"x":2}`), `duplicate_key: at byte 80: key "x" is there twice`},
	{"same keys in different objects", event(`,"a":{"a":1,"id":2},"b":{"a":1}`), eventText},
	{"known keys within", event(`,"a":{"id":7,"type":"sample"}`), eventText},
	{"many keys", event(many("")), eventText},
	{"many keys, a late one twice", event(many(`,"k40":1`)), `duplicate_key: at byte 438: key "k40" is there twice`},
	{"many keys, an early one twice", event(many(`,"k3":1,"k9":1`)), `duplicate_key: at byte 438: key "k3" is there twice`},
	{"many nested keys, one twice", event(`,"a":{"k":0` + many(`,"k1":1`) + `}`), `duplicate_key: at byte 449: key "k1" is there twice`},

	// Types.
	{"no type", `{"id":"p","ts":1}`, `unknown_type: no "type", and the source mixes types (prediction, outcome, sample)`},
	{"null type", `{"type":null}`, `unknown_type: no "type", and the source mixes types (prediction, outcome, sample)`},
	{"unknown type", `{"type":"click"}`, `unknown_type: at byte 10: "type" must be prediction, outcome or sample: "click"`},
	{"type in capitals", `{"type":"Prediction"}`, `unknown_type: at byte 10: "type" must be prediction, outcome or sample: "Prediction"`},
	{"type is a number", `{"type":1}`, `wrong_json_type: at byte 9: "type" must be a string, found a number`},

	// Required fields and names.
	{"no ts", `{"type":"prediction","id":"p","model":"m","version":"v"}`, `missing_field: a prediction needs "ts"`},
	{"no id", `{"type":"prediction","ts":1,"model":"m","version":"v"}`, `missing_field: a prediction needs "id"`},
	{"null id", `{"type":"prediction","id":null,"ts":1,"model":"m","version":"v"}`, `missing_field: a prediction needs "id"`},
	{"no model", `{"type":"prediction","id":"p","ts":1,"version":"v"}`, `missing_field: a prediction needs "model"`},
	{"no version", `{"type":"prediction","id":"p","ts":1,"model":"m"}`, `missing_field: a prediction needs "version"`},
	{"outcome without id", `{"type":"outcome","ts":1,"name":"click"}`, `missing_field: an outcome needs "id"`},
	{"outcome without name", `{"type":"outcome","id":"p","ts":1}`, `missing_field: an outcome needs "name"`},
	{"sample without name", `{"type":"sample","ts":1,"model":"m","version":"v","value":1}`, `missing_field: a sample needs "name"`},
	{"sample without value", `{"type":"sample","ts":1,"model":"m","version":"v","name":"cpu"}`, `missing_field: a sample needs "value"`},
	{"empty id", `{"type":"prediction","id":"","ts":1,"model":"m","version":"v"}`, `empty_name: at byte 28: "id" is empty: ""`},
	{"id is a number", `{"type":"prediction","id":17,"ts":1,"model":"m","version":"v"}`, `wrong_json_type: at byte 27: "id" must be a string, found a number`},
	{"longest name", event(`,"unit":"` + long + `"`), eventText + ` unit="` + long + `"`},
	{"name too long", event(`,"unit":"` + long + `n"`), `long_name: at byte 72: "unit" is longer than 128 bytes: "` + long[:40] + `"…`},
	{"name of 128 bytes when unescaped", event(`,"unit":"\u006e` + long[1:] + `"`), eventText + ` unit="` + long + `"`},
	{"empty optional name", event(`,"unit":""`), eventText},
	{"null optional name", event(`,"unit":null`), eventText},
	{"long code is cut", event(`,"code":"` + long[1:] + `é"`), eventText + ` code="` + long[1:] + `"`},
	{"code is an object", event(`,"code":{"x":1}`), `wrong_json_type: at byte 71: "code" must be a string, found an object`},

	// Numbers and flags of predictions.
	{"negative latency", event(`,"latency_ms":-0.001`), `out_of_range: at byte 77: "latency_ms" is negative: "-0.001"`},
	{"latency of minus zero", event(`,"latency_ms":-0`), eventText + ` latency=0`},
	{"latency is a string", event(`,"latency_ms":"5"`), `wrong_json_type: at byte 78: "latency_ms" must be a number, found a string`},
	{"null latency", event(`,"latency_ms":null`), eventText},
	{"sampled_by below one", event(`,"sampled_by":0.99`), `out_of_range: at byte 77: "sampled_by" is below 1: "0.99"`},
	{"sampled_by one", event(`,"sampled_by":1`), eventText},
	{"attempt", event(`,"attempt":2147483647`), eventText + ` attempt=2.147483647e+09`},
	{"attempt as a whole float", event(`,"attempt":2.0`), eventText + ` attempt=2`},
	{"attempt too large", event(`,"attempt":2147483648`), `out_of_range: at byte 74: "attempt" is no whole number from 0 to 2147483647: "2147483648"`},
	{"half an attempt", event(`,"attempt":0.5`), `out_of_range: at byte 74: "attempt" is no whole number from 0 to 2147483647: "0.5"`},
	{"negative attempt", event(`,"attempt":-1`), `out_of_range: at byte 74: "attempt" is no whole number from 0 to 2147483647: "-1"`},
	{"error is a number", event(`,"error":1`), `wrong_json_type: at byte 72: "error" must be true or false, found a number`},
	{"null error", event(`,"error":null`), eventText},
	{"cache miss", event(`,"cache_hit":false`), eventText + ` cache_hit=false`},
	{"values is an array", event(`,"values":[1]`), `wrong_json_type: at byte 73: "values" must be an object of numbers, found an array`},
	{"no values", event(`,"values":{}`), eventText},
	{"a value is a string", event(`,"values":{"a":"1"}`), `wrong_json_type: at byte 79: value "a" must be a number, found a string`},
	{"a value overflows", event(`,"values":{"a":1e999}`), `not_finite: at byte 78: value "a" is beyond what a float64 holds`},
	{"a value without name", event(`,"values":{"":1}`), `empty_name: at byte 74: a name in "values" is empty`},
	{"a value with a long name", event(`,"values":{"` + long + `n":1}`), `long_name: at byte 74: a name in "values" is longer than 128 bytes: "` + long[:40] + `"…`},
	{"spaced values", event(`,"values": { "a" : 1 , "b" : null , "\u0063" : -2e1 } `), eventText + ` values["a"]=1 values["c"]=-20`},
	{"too many values", event(values(65)), `too_many_values: at byte 630: more than 64 values`},

	// What a kind doesn't have is ignored, but must be JSON.
	{"an outcome's latency", `{"type":"outcome","id":"p","ts":1,"name":"c","latency_ms":-1,"values":7}`, `outcome ts=1 id="p" name="c" value=1`},
	{"a prediction's name", event(`,"name":7,"event_id":{}`), eventText},
	{"an outcome's null value", `{"type":"outcome","id":"p","ts":1,"name":"c","value":null}`, `outcome ts=1 id="p" name="c" value=1`},
	{"an outcome's text value", `{"type":"outcome","id":"p","ts":1,"name":"c","value":"1"}`, `wrong_json_type: at byte 55: "value" must be a number, found a string`},

	// Time.
	{"ts of a fraction", `{"type":"outcome","id":"p","ts":1.9,"name":"c"}`, `outcome ts=1 id="p" name="c" value=1`},
	{"ts negative", `{"type":"outcome","id":"p","ts":-1,"name":"c"}`, `bad_time: at byte 33: "ts" is neither Unix milliseconds nor RFC 3339 (1970 to 9999): "-1"`},
	{"ts after 9999", `{"type":"outcome","id":"p","ts":253402300800000,"name":"c"}`, `bad_time: at byte 33: "ts" is neither Unix milliseconds nor RFC 3339 (1970 to 9999): "253402300800000"`},
	{"ts overflows", `{"type":"outcome","id":"p","ts":1e400,"name":"c"}`, `bad_time: at byte 33: "ts" is neither Unix milliseconds nor RFC 3339 (1970 to 9999): "1e400"`},
	{"ts is a date", `{"type":"outcome","id":"p","ts":"2025-10-09","name":"c"}`, `bad_time: at byte 34: "ts" is neither Unix milliseconds nor RFC 3339 (1970 to 9999): "2025-10-09"`},
	{"ts is text of digits", `{"type":"outcome","id":"p","ts":"1760000400000","name":"c"}`, `bad_time: at byte 34: "ts" is neither Unix milliseconds nor RFC 3339 (1970 to 9999): "1760000400000"`},
	{"ts is true", `{"type":"outcome","id":"p","ts":true,"name":"c"}`, `wrong_json_type: at byte 33: "ts" must be a number or a string, found true`},
}

// TestJSON decodes each row with a decoder that knows nothing yet.
func TestJSON(t *testing.T) {
	for _, row := range jsonRows {
		t.Run(row.name, func(t *testing.T) {
			if got := strings.TrimSuffix(take(decoderFor(t, "json", schemas.KindUnknown), new(Batch), []byte(row.in)), "\n"); got != row.want {
				t.Errorf("\nin   %s\ngot  %s\nwant %s", row.in, got, row.want)
			}
		})
	}
}

// TestJSONSizes holds the bound on an event's bytes: exactly at it is fine.
func TestJSONSizes(t *testing.T) {
	d := decoderFor(t, "json", schemas.KindUnknown)
	fit := event(`,"pad":"` + strings.Repeat("x", schemas.MaxEventBytes-len(event(`,"pad":""`))) + `"`)
	if got := take(d, new(Batch), []byte(fit)); got != eventText+"\n" {
		t.Errorf("at the bound: %s", got)
	}
	if got := take(d, new(Batch), []byte(fit+" ")); got != "too_big: 262145 bytes, more than 262144\n" {
		t.Errorf("beyond the bound: %s", got)
	}
	small, err := NewDecoder("json", Options{MaxBytes: 1024})
	if err != nil {
		t.Fatal(err)
	}
	if got := take(small, new(Batch), []byte(fit)); got != "too_big: 262144 bytes, more than 1024\n" {
		t.Errorf("with a smaller limit: %q", got)
	}
}

// TestJSONHostileKeys holds the cost of an event that is all keys: it must not grow with their square.
func TestJSONHostileKeys(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(`{"a":{`)
	for i := range 20_000 {
		fmt.Fprintf(&b, `%s"k%05x":0`, strings.Repeat(",", min(i, 1)), i)
	}
	b.WriteString(`,"k00000":0}}`)
	began := time.Now()
	got := take(decoderFor(t, "json", schemas.KindUnknown), new(Batch), b.Bytes())
	if want := "duplicate_key: at byte 220007: key \"k00000\" is there twice\n"; got != want {
		t.Errorf("got %s", got)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %s", took)
	}
}

// TestNumbers compares with strconv.ParseFloat bit by bit, around the bounds of the fast path.
func TestNumbers(t *testing.T) {
	texts := []string{"0", "-0", "0.0", "1e22", "1e23", "9007199254740992", "9007199254740993", "9007199254740992e22", "9007199254740993e22",
		"1e-22", "1e-23", "123456789012345678901234567890", "0.30000000000000004", "2.2250738585072011e-308", "5e-324", "2e-324", "1E+2",
		"0.000000000000000000000000000001", "18446744073709551615", "18446744073709551616", "1844674407370955161", "4.35", "0.1e1", "1.0e0"}
	for exp := -25; exp <= 25; exp++ {
		for _, digits := range []uint64{1, 3, 7, 4503599627370497, 9007199254740991, 9007199254740992, 9007199254740993, 12345678901234567} {
			texts = append(texts, fmt.Sprintf("%de%d", digits, exp), fmt.Sprintf("-%d.%de%d", digits/10, digits%10, exp))
		}
	}
	for _, text := range texts {
		want, err := strconv.ParseFloat(text, 64)
		var n jsonNumber
		end := scanNumber([]byte(text), 0, &n)
		got, ok := n.float([]byte(text))
		if end != len(text) || ok != (err == nil) || math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("%s: %v, %v, read to %d; ParseFloat says %v, %v", text, got, ok, end, want, err)
		}
	}
}

// FuzzNumbers compares with strconv.ParseFloat and encoding/json.
func FuzzNumbers(f *testing.F) {
	for _, text := range []string{"0", "-1.5e-3", "123456789.123456789", "1e400", "01", "1.", "9007199254740993", "1e", "-"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) == 0 || (text[0] != '-' && (text[0] < '0' || text[0] > '9')) || strings.TrimSpace(text) != text {
			return // the caller sees to it that a number begins here
		}
		var n jsonNumber
		whole := scanNumber([]byte(text), 0, &n) == len(text)
		if whole != json.Valid([]byte(text)) {
			t.Fatalf("%q: number %v, encoding/json says %v", text, whole, !whole)
		}
		if !whole {
			return
		}
		want, err := strconv.ParseFloat(text, 64)
		got, ok := n.float([]byte(text))
		if ok != (err == nil) || (ok && math.Float64bits(got) != math.Float64bits(want)) {
			t.Errorf("%q: %v, %v; ParseFloat says %v, %v", text, got, ok, want, err)
		}
	})
}

// An oracleValue is a JSON value as encoding/json reads it: nil, bool, json.Number, string, []any or map[string]any.
type oracleValue = any

// oracleParse reads text with encoding/json, refusing besides what it lets pass: bytes that are not UTF-8, depth, duplicate keys.
func oracleParse(text []byte) (map[string]oracleValue, bool) {
	if len(text) > schemas.MaxEventBytes || !json.Valid(text) || !utf8.Valid(text) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, ok := oracleRead(d, 0)
	object, isObject := v.(map[string]oracleValue)
	return object, ok && isObject
}

// oracleRead reads one value from the tokens.
func oracleRead(d *json.Decoder, depth int) (oracleValue, bool) {
	token, err := d.Token()
	if err != nil {
		return nil, false
	}
	delim, nested := token.(json.Delim)
	if !nested {
		return token, true
	}
	if depth++; depth > schemas.MaxDepth {
		return nil, false
	}
	object, array := map[string]oracleValue{}, []oracleValue{}
	for d.More() {
		key := ""
		if delim == '{' {
			k, err := d.Token()
			if err != nil {
				return nil, false
			}
			key = k.(string)
			if _, twice := object[key]; twice {
				return nil, false
			}
		}
		v, ok := oracleRead(d, depth)
		if !ok {
			return nil, false
		}
		object[key], array = v, append(array, v)
	}
	if _, err := d.Token(); err != nil {
		return nil, false
	}
	if delim == '{' {
		return object, true
	}
	return array, true
}

// An oracle reads the fields of an event from what encoding/json made of it, plainly.
type oracle struct {
	fields map[string]oracleValue
	bad    bool
}

func (o *oracle) name(key string, required bool) []byte {
	v := o.fields[key]
	if v == nil {
		o.bad = o.bad || required
		return nil
	}
	s, ok := v.(string)
	if !ok || len(s) > schemas.MaxNameBytes && key != "code" || required && s == "" {
		o.bad = true
		return nil
	}
	if key == "code" {
		for len(s) > schemas.MaxNameBytes {
			_, size := utf8.DecodeLastRuneInString(s)
			s = s[:len(s)-size]
		}
	}
	if s == "" {
		return nil
	}
	return []byte(s)
}

func (o *oracle) number(v oracleValue, otherwise float64) (float64, bool) {
	if v == nil {
		return otherwise, false
	}
	n, ok := v.(json.Number)
	x, err := strconv.ParseFloat(string(n), 64)
	o.bad = o.bad || !ok || err != nil
	return x, true
}

func (o *oracle) flag(key string) (bool, bool) {
	v := o.fields[key]
	if v == nil {
		return false, false
	}
	b, ok := v.(bool)
	o.bad = o.bad || !ok
	return b, true
}

// strictTime is the grammar of RFC 3339; the standard library also lets "T3:04:05", a comma in the
// fraction and a zone of 24 hours pass.
var strictTime = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

func (o *oracle) time() int64 {
	var ms float64
	switch v := o.fields["ts"].(type) {
	case json.Number:
		ms, _ = o.number(v, 0)
		ms = math.Floor(ms)
	case string:
		var at time.Time
		if err := at.UnmarshalText([]byte(v)); err != nil || !strictTime.MatchString(v) {
			o.bad = true
		}
		ms = float64(at.UnixMilli())
	default:
		o.bad = true
	}
	if o.bad = o.bad || ms < 0 || ms > timeMax; o.bad {
		return 0
	}
	return int64(ms)
}

// event reads the whole event; false: it must be refused.
func (o *oracle) event(want schemas.Kind) (schemas.Event, bool) {
	e := schemas.Event{SampledBy: 1, Kind: want}
	if v := o.fields["type"]; v != nil {
		kind := map[any]schemas.Kind{"prediction": schemas.KindPrediction, "outcome": schemas.KindOutcome, "sample": schemas.KindSample}
		if s, ok := v.(string); ok {
			e.Kind = kind[s]
		} else {
			e.Kind = schemas.KindUnknown
		}
	}
	if e.Kind == schemas.KindUnknown || (want != schemas.KindUnknown && e.Kind != want) {
		return e, false
	}
	e.TimeMs = o.time()
	e.Model, e.Version = o.name("model", e.Kind != schemas.KindOutcome), o.name("version", e.Kind != schemas.KindOutcome)
	switch e.Kind {
	case schemas.KindPrediction:
		o.prediction(&e)
	case schemas.KindOutcome:
		e.ID, e.Name, e.EventID = o.name("id", true), o.name("name", true), o.name("event_id", false)
		e.Value, _ = o.number(o.fields["value"], 1)
	case schemas.KindSample:
		e.Name, e.Host = o.name("name", true), o.name("host", false)
		var there bool
		e.Value, there = o.number(o.fields["value"], 0)
		o.bad = o.bad || !there
	}
	return e, !o.bad
}

func (o *oracle) prediction(e *schemas.Event) {
	e.ID = o.name("id", true)
	e.LatencyMs, e.HasLatency = o.number(o.fields["latency_ms"], 0)
	e.Score, e.HasScore = o.number(o.fields["score"], 0)
	e.SampledBy, _ = o.number(o.fields["sampled_by"], 1)
	attempt, _ := o.number(o.fields["attempt"], 0)
	o.bad = o.bad || e.LatencyMs < 0 || e.SampledBy < 1 || attempt < 0 || attempt > math.MaxInt32 || attempt != math.Floor(attempt)
	e.Attempt = int32(attempt)
	e.LatencyMs += 0
	e.Error, _ = o.flag("error")
	e.Timeout, _ = o.flag("timeout")
	e.Shadow, _ = o.flag("shadow")
	e.CacheHit, e.HasCacheHit = o.flag("cache_hit")
	e.Code, e.Segment, e.Host = o.name("code", false), o.name("segment", false), o.name("host", false)
	e.Region, e.Unit = o.name("region", false), o.name("unit", false)
	if o.fields["values"] == nil {
		return
	}
	values, ok := o.fields["values"].(map[string]oracleValue)
	o.bad = o.bad || !ok
	for name, v := range values {
		if v == nil {
			continue
		}
		x, _ := o.number(v, 0)
		o.bad = o.bad || name == "" || len(name) > schemas.MaxNameBytes
		e.Values = append(e.Values, schemas.Value{Name: []byte(name), Number: x})
	}
	o.bad = o.bad || len(e.Values) > schemas.MaxValues
}

// sameAsOracle compares a decoded item with what encoding/json makes of the same text.
func sameAsOracle(t *testing.T, text []byte, want schemas.Kind, item *Item) {
	t.Helper()
	fields, ok := oracleParse(text)
	var e schemas.Event
	if ok {
		o := oracle{fields: fields}
		e, ok = o.event(want)
	}
	if ok != (item.Err == nil) {
		t.Fatalf("%q as %s: %v; encoding/json accepts: %v", text, want, item.Err, ok)
	}
	if !ok {
		return
	}
	got := item.Event
	byName := map[string]float64{}
	for _, v := range e.Values {
		byName[string(v.Name)] = v.Number
	}
	for _, v := range got.Values {
		if n, ok := byName[string(v.Name)]; !ok || math.Float64bits(n) != math.Float64bits(v.Number) {
			t.Fatalf("%q: value %q is %v, encoding/json says %v", text, v.Name, v.Number, n)
		}
	}
	if len(got.Values) != len(e.Values) {
		t.Fatalf("%q: %d values, encoding/json says %d", text, len(got.Values), len(e.Values))
	}
	got.Values, e.Values = nil, nil
	if render(&got) != render(&e) {
		t.Fatalf("%q:\ngot  %s\nwant %s", text, render(&got), render(&e))
	}
}

// FuzzJSON decodes text here and with encoding/json: the same must be refused, and events must be the same. One decoder keeps what it
// has learnt of the keys of the second text.
func FuzzJSON(f *testing.F) {
	samples := goldens(f, "json")
	for _, a := range samples {
		f.Add(uint8(0), a, samples["testdata/formats/json/prediction_full.in"])
	}
	f.Add(uint8(1), []byte(event(`,"a":{"b":[1,2,{"c":null}]},"values":{"x":1.5e3,"y":-0}`)), []byte(event(`,"id":"twice"`)))
	f.Add(uint8(2), []byte(`{"id":"x","ts":"2024-02-30T00:00:00Z","name":"n"}`), []byte(event("")))
	f.Fuzz(func(t *testing.T, kind uint8, text, learnt []byte) {
		want := schemas.Kind(kind % 4)
		d := decoderFor(t, "json", want)
		var b Batch
		b.Take(d, Record{Value: learnt})
		b.Take(d, Record{Value: text})
		b.Take(d, Record{Value: text})
		sameAsOracle(t, learnt, want, &b.Items[0])
		sameAsOracle(t, text, want, &b.Items[1])
		sameAsOracle(t, text, want, &b.Items[2])
	})
}
