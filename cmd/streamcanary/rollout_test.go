package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"streamcanary/decisions/bus"
)

// TestUnknown: where nobody knows whether an application arrived, its error says so; what is known stays as it is.
func TestUnknown(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("write rollout r: %w", context.DeadlineExceeded),
			"write rollout r: context deadline exceeded; rollout r may have been applied all the same: look with `streamcanary rollout show r` before you apply it again"},
		{refused{"r", "no"}, "the service refuses rollout r: no"},
		{fmt.Errorf("write rollout r: %w", bus.ErrConflict), "write rollout r: it was changed by someone else: read it again"},
	} {
		if have := unknown("r", test.err); have.Error() != test.want || !errors.Is(have, test.err) {
			t.Errorf("%q, want %q", have, test.want)
		}
	}
}
