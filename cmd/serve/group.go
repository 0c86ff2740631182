package serve

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// group runs a service's goroutines: when one fails all are told to stop, and wait waits for all.
type group struct {
	ctx  context.Context
	stop context.CancelFunc
	all  sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

func newGroup(ctx context.Context) *group {
	g := &group{}
	g.ctx, g.stop = context.WithCancel(ctx)
	return g
}

// start runs f until it returns; its error, unless the group was stopping anyway, stops the group.
func (g *group) start(what string, f func(context.Context) error) {
	g.all.Go(func() {
		err := f(g.ctx)
		if err != nil && !errors.Is(err, context.Canceled) {
			g.mu.Lock()
			g.errs = append(g.errs, fmt.Errorf("%s: %w", what, err))
			g.mu.Unlock()
			g.stop()
		}
	})
}

func (g *group) wait() error {
	g.all.Wait()
	return errors.Join(g.errs...)
}
