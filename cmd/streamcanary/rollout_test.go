package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// TestUnknown: where nobody knows whether an application arrived, its error says so; what is known stays as it is.
func TestUnknown(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("write rollout r: %w", context.DeadlineExceeded),
			"write rollout r: context deadline exceeded; rollout r may have been applied all the same: look with `streamcanary rollout show r` before you apply it again"},
		{refused{rollout: "r", why: "no"}, "the service refuses rollout r: no"},
		{fmt.Errorf("write rollout r: %w", bus.ErrConflict), "write rollout r: it was changed by someone else: read it again"},
	} {
		if have := unknown("r", test.err); have.Error() != test.want || !errors.Is(have, test.err) {
			t.Errorf("%q, want %q", have, test.want)
		}
	}
}

// TestUnanswered: a command of which no answer came says that it may be done, and how to ask for it once; one that nobody heard, why.
func TestUnanswered(t *testing.T) {
	o := order{schemas.Command{ID: "p-1", Do: "pause"}, "r"}
	for want, err := range map[string]error{
		"no answer to pause came within 25s, and whether it is done isn't known: look with `streamcanary rollout show r`, and at the log of serve (to ask for the same again, which does it once: --id p-1)": fmt.Errorf("ask rollout r: %w", context.DeadlineExceeded),
		"ask rollout r: " + bus.ErrNobody.Error() + " (to ask for the same again: --id p-1)":                                                                                                                 fmt.Errorf("ask rollout r: %w", bus.ErrNobody),
	} {
		if have := unanswered(err, o).Error(); have != want {
			t.Errorf("%q, want %q", have, want)
		}
	}
}
