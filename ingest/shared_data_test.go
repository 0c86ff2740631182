package ingest

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"streamcanary/schemas"
)

// TestSharedLogs reads the real logs, whose line counts their README states.
func TestSharedLogs(t *testing.T) {
	dir := "../../shared/data/events"
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("passed over: the logs of %s are not on this machine", dir)
	}
	for name, want := range map[string]int{
		"incident_frontend_cpu": 2030, "incident_frontend_failfast": 2988, "incident_email_no_visible_effect": 1588,
		"latency_tail_trainticket": 10144, "latency_tail_trainticket_small": 10165, "obd_men_bts_vs_random": 20115,
		"dirty_transport_aa": 18884,
	} {
		l, err := OpenLogs([]string{filepath.Join(dir, name+".ndjson.gz")}, LogOptions{})
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[schemas.Kind]int{}
		for {
			b, err := l.Next(context.Background())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for i := range b.Items {
				if b.Items[i].Err != nil {
					t.Fatalf("%s line %d: %v", name, b.Items[i].Offset, b.Items[i].Err)
				}
				kinds[b.Items[i].Event.Kind]++
			}
			b.Release()
		}
		if got := kinds[schemas.KindPrediction] + kinds[schemas.KindOutcome]; got != want {
			t.Errorf("%s: %d events, want %d (%v)", name, got, want, kinds)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}
