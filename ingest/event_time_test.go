package ingest

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestRFC3339 compares with package time, over random instants, zones and fractions, and after changing one byte.
func TestRFC3339(t *testing.T) {
	t.Logf("-seed=%d", *seed)
	rng := rand.New(rand.NewPCG(*seed, 2))
	for range 5_000 {
		zone := time.FixedZone("", (rng.IntN(2*24*60-1)-24*60+1)*60)
		at := time.UnixMilli(rng.Int64N(timeMax)).Add(time.Duration(rng.IntN(1e6))).In(zone)
		if at.Year() > 9999 || at.Year() < 1970 {
			continue
		}
		text := []byte(at.Format([]string{time.RFC3339, time.RFC3339Nano, "2006-01-02T15:04:05.000000Z07:00", "2006-01-02T15:04:05.0Z07:00"}[rng.IntN(4)]))
		if rng.IntN(3) == 0 {
			text[rng.IntN(len(text))] = "0123456789-+:.TZtz ,"[rng.IntN(20)]
		}
		var want time.Time
		err := want.UnmarshalText(text)
		wantOK := err == nil && strictTime.Match(text)
		got, ok := parseRFC3339(text)
		if ok != wantOK || (ok && got != want.UnixMilli()) {
			t.Fatalf("%s: %d, %v; package time says %d, %v", text, got, ok, want.UnixMilli(), err)
		}
	}
}
