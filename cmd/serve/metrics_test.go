package serve

import (
	"fmt"
	"strings"

	"streamcanary/schemas"
)

// timed wants the four times of the only rollback that is carried out to be on /metrics as they are in the event that says so: what the notice dates, counted from when the harm began.
func (v *village) timed() {
	v.Helper()
	done := v.notices(schemas.NoticeRollbackCompleted)
	if len(done) != 1 || done[0].Times == nil {
		v.Fatalf("completed: %+v", done)
	}
	times, page := done[0].Times, v.page("/metrics")
	last := times.HarmBegan
	for _, x := range []struct {
		until string
		at    schemas.Time
	}{{"detected", times.Detected}, {"decided", times.Decided}, {"acked", times.Acked}, {"drained", times.Drained}} {
		if x.at <= last {
			v.Errorf("%s at %s, not after %s", x.until, x.at, last)
		}
		last = x.at
		labels := fmt.Sprintf(`{model="ranker",until=%q}`, x.until)
		for _, want := range []string{
			fmt.Sprintf("streamcanary_rollback_seconds_sum%s %v\n", labels, float64(x.at-times.HarmBegan)/1000),
			fmt.Sprintf("streamcanary_rollback_seconds_count%s 1\n", labels),
		} {
			if !strings.Contains(page, want) {
				v.Errorf("/metrics hasn't got %s", want)
			}
		}
	}
}
