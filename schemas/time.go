package schemas

import (
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

// MarshalJSON writes the time as a JSON string.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(`"` + t.String() + `"`), nil
}

// UnmarshalJSON reads an RFC 3339 string.
func (t *Time) UnmarshalJSON(b []byte) error {
	if len(b) < 2 || b[0] != '"' {
		return fmt.Errorf("time %s is not a string of RFC 3339", b)
	}
	at, err := time.Parse(time.RFC3339Nano, string(b[1:len(b)-1]))
	if err != nil {
		return err
	}
	*t = Time(at.UnixMilli())
	return nil
}
