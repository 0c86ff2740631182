package ingest

import (
	"fmt"
	"strings"

	"streamcanary/schemas"
)

// render writes an event as text, so that whole events can be compared and read: every field that isn't zero.
func render(e *schemas.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s ts=%d", e.Kind, e.TimeMs)
	text := func(name string, v []byte) {
		if v != nil {
			fmt.Fprintf(&b, " %s=%q", name, v)
		}
	}
	number := func(name string, v float64, there bool) {
		if there {
			fmt.Fprintf(&b, " %s=%v", name, v)
		}
	}
	text("id", e.ID)
	text("model", e.Model)
	text("version", e.Version)
	number("latency", e.LatencyMs, e.HasLatency)
	number("error", 1, e.Error)
	number("timeout", 1, e.Timeout)
	number("shadow", 1, e.Shadow)
	if e.HasCacheHit {
		fmt.Fprintf(&b, " cache_hit=%v", e.CacheHit)
	}
	number("score", e.Score, e.HasScore)
	number("attempt", float64(e.Attempt), e.Attempt != 0)
	number("sampled_by", e.SampledBy, e.SampledBy != 1)
	text("code", e.Code)
	text("segment", e.Segment)
	text("host", e.Host)
	text("region", e.Region)
	text("unit", e.Unit)
	for _, v := range e.Values {
		fmt.Fprintf(&b, " values[%q]=%v", v.Name, v.Number)
	}
	text("name", e.Name)
	text("event_id", e.EventID)
	number("value", e.Value, e.Kind != schemas.KindPrediction)
	return b.String()
}

// renderItem writes an item: its event, or why there is none.
func renderItem(item *Item) string {
	if item.Err != nil {
		return item.Err.Error()
	}
	return render(&item.Event)
}
