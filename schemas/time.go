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
	if !t.writable() {
		return nil, fmt.Errorf("time %d ms is outside of the years that RFC 3339 can write", int64(t))
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
	if *t = Time(at.UnixMilli()); !t.writable() {
		return fmt.Errorf("time %q is outside of the years 0 to 9999 in UTC", text)
	}
	return nil
}

func (t Time) writable() bool {
	year := time.UnixMilli(int64(t)).UTC().Year()
	return 0 <= year && year <= 9999
}
