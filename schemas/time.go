package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Time is an instant in Unix milliseconds, written in JSON as RFC 3339 with milliseconds in UTC.
// The zero value is "no time": `omitzero` leaves it out.
type Time int64

// String returns RFC 3339 with milliseconds, in UTC.
func (t Time) String() string {
	return time.UnixMilli(int64(t)).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// MarshalJSON writes the time as a JSON string. It fails outside of the years 0 to 9999, which RFC 3339 can't write.
func (t Time) MarshalJSON() ([]byte, error) {
	if year := time.UnixMilli(int64(t)).UTC().Year(); year < 0 || year > 9999 {
		return nil, fmt.Errorf("time %d ms is in the year %d, which RFC 3339 can't write", int64(t), year)
	}
	return []byte(`"` + t.String() + `"`), nil
}

// UnmarshalJSON reads an RFC 3339 string; null leaves the time as it is. What is finer than a millisecond is cut off.
func (t *Time) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf("time %s is not a string of RFC 3339", b)
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return fmt.Errorf("time %q is not RFC 3339: write e.g. 2026-01-31T12:00:00.000Z", text)
	}
	*t = Time(at.UnixMilli())
	return nil
}
