package serve

import (
	"slices"
	"sync"

	"streamcanary/schemas"
)

// A roster knows the rollouts that are judged, and the last of those that were deleted: sinks are told of a rollout's end as it wanted them to be. nil knows none. Safe for concurrent use.
type roster struct {
	mu   sync.Mutex
	all  map[string]*schemas.Rollout
	gone []string // the names of those that were deleted, oldest first: at most goneMost
}

const goneMost = 64

func newRoster() *roster { return &roster{all: map[string]*schemas.Rollout{}} }

// put adds a rollout, in place of an earlier one of its name.
func (r *roster) put(x *schemas.Rollout) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[x.Name] = x
	r.gone = slices.DeleteFunc(r.gone, func(name string) bool { return name == x.Name })
}

// remove notes that a rollout was deleted.
func (r *roster) remove(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.all[name]; !known || slices.Contains(r.gone, name) {
		return
	}
	r.gone = append(r.gone, name)
	if len(r.gone) > goneMost {
		delete(r.all, r.gone[0])
		r.gone = slices.Delete(r.gone, 0, 1)
	}
}

// find is the rollout of a name; nil: none is known.
func (r *roster) find(name string) *schemas.Rollout {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[name]
}
