package subscribe

import (
	"bytes"
	"cmp"
	"testing"

	"streamcanary/schemas"
)

// TestLongWatch: with what a client may do in NATS, and no more, it goes on hearing of route documents, however many there were.
func TestLongWatch(t *testing.T) {
	for _, c := range clients(t) {
		t.Run(c.name, func(t *testing.T) {
			if c.missing != "" || c.start == nil {
				t.Skip("skipped, not passed: " + cmp.Or(c.missing, "it is two clients by turns"))
			}
			x := newTrial(t, c)
			x.config.Consumer = "eu"
			running, err := c.start(t, x.config)
			x.must(err)
			x.running = running
			kv, err := x.js.KeyValue(t.Context(), schemas.RoutesBucket)
			x.must(err)
			name, err := schemas.RouteKey(model)
			x.must(err)
			for range 30 {
				_, err := kv.Put(t.Context(), name, bytes.Repeat([]byte{'x'}, 200<<10))
				x.must(err)
			}
			x.must(x.send("route", []string{"1.1", "start", "routes=41:9500,42:500"}))
			x.must(x.expectAck("ack 1.1 received"))
			x.must(x.expectLine("given 1.1 start 41:9500,42:500"))
			x.must(x.expectAck("ack 1.1 applied"))
			x.must(x.stop())
		})
	}
}
