package subscribe

import (
	"testing"

	"streamcanary/schemas"
)

// TestFence: what was seen counts as what was carried out does. They part where a handler fails or refuses: then what is older than what it was given never comes after
// it, though it is newer than all that was carried out.
func TestFence(t *testing.T) {
	at := func(epoch, seq int64) Version { return Version{epoch, seq} }
	for _, row := range []struct {
		name                  string
		applied, routes, seen Version
		restored, again       bool
		in                    Version
		advises, routeless    bool
		want                  passage
	}{
		{name: "the first there is", in: at(1, 1), want: fenceNew},
		{name: "the next one", applied: at(1, 1), seen: at(1, 1), in: at(1, 2), want: fenceNew},
		{name: "of the next epoch, with a lower number", applied: at(1, 3), seen: at(1, 3), in: at(2, 1), want: fenceNew},
		{name: "carried out", applied: at(1, 2), seen: at(1, 2), in: at(1, 2), restored: true, routes: at(1, 2), want: fenceDone},
		{name: "carried out, asked again", applied: at(1, 2), seen: at(1, 2), in: at(1, 2), restored: true, routes: at(1, 2), again: true, want: fenceDone},
		{name: "older than what was carried out", applied: at(1, 3), seen: at(1, 3), in: at(1, 2), want: fenceStale},
		{name: "of an older epoch, with a higher number", applied: at(2, 1), seen: at(2, 1), in: at(1, 3), want: fenceStale},
		{name: "of an older epoch, asked again", applied: at(2, 1), seen: at(2, 1), in: at(1, 3), again: true, want: fenceStale},
		{name: "older than what was carried out, and nothing was seen", applied: at(1, 3), in: at(1, 2), want: fenceStale}, // run sees what it has noted; the fence doesn't rely on it

		{name: "older than what was refused, newer than what was carried out", applied: at(1, 1), seen: at(1, 3), in: at(1, 2), want: fenceStale},
		{name: "the same, asked again", applied: at(1, 1), seen: at(1, 3), in: at(1, 2), again: true, want: fenceStale},
		{name: "of an older epoch than what was refused", applied: at(1, 1), seen: at(2, 1), in: at(1, 2), want: fenceStale},
		{name: "older than what was refused, where nothing was carried out", seen: at(1, 2), in: at(1, 1), want: fenceStale},
		{name: "what was carried out before what was refused", applied: at(1, 2), seen: at(1, 3), in: at(1, 2), restored: true, routes: at(1, 2), want: fenceStale},
		{name: "what was refused", applied: at(1, 1), seen: at(1, 2), in: at(1, 2), want: fenceStale},
		{name: "what was refused, asked again", applied: at(1, 1), seen: at(1, 2), in: at(1, 2), again: true, want: fenceNew},
		{name: "newer than what was refused", applied: at(1, 1), seen: at(1, 2), in: at(1, 3), want: fenceNew},

		{name: "the routes in force, after a restart", applied: at(1, 3), routes: at(1, 3), seen: at(1, 3), in: at(1, 3), want: fenceRestore},
		{name: "the same, where later ones had none", applied: at(2, 1), routes: at(1, 3), seen: at(2, 1), in: at(1, 3), want: fenceRestore},
		{name: "the same, once they were handed over", applied: at(2, 1), routes: at(1, 3), seen: at(2, 1), in: at(1, 3), restored: true, want: fenceStale},
		{name: "the same, where a newer one was refused", applied: at(1, 3), routes: at(1, 3), seen: at(2, 1), in: at(1, 3), want: fenceStale},
		{name: "the same, of a rollout that advises", applied: at(1, 3), routes: at(1, 3), seen: at(1, 3), in: at(1, 3), advises: true, want: fenceDone},
		{name: "the same, without routes", applied: at(1, 3), routes: at(1, 3), seen: at(1, 3), in: at(1, 3), routeless: true, want: fenceDone},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := &follower{position: Position{Applied: row.applied, Routes: row.routes}, seen: row.seen, restored: row.restored}
			d := &schemas.Decision{Epoch: row.in.Epoch, Seq: row.in.Seq, Mode: schemas.Enforce, Routes: []schemas.Route{{Version: "1", WeightBP: 10_000}}}
			if row.advises {
				d.Mode = schemas.Advise
			}
			if row.routeless {
				d.Routes = nil
			}
			if have := f.fence(d, row.again); have != row.want {
				t.Errorf("passage %d, want %d", have, row.want)
			}
		})
	}
}
