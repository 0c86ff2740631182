package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"streamcanary/schemas"
)

// waitsAfter is how long a wait may be silent.
const waitsAfter = time.Second

// waits tells a person what is waited for, once that takes a while. What it returns must be called when the wait is over.
func (c *console) waits(format string, args ...any) (over func()) {
	ctx, end := context.WithCancel(context.Background())
	var telling sync.WaitGroup
	telling.Go(func() {
		if pause(ctx, waitsAfter) == nil {
			fmt.Fprintf(c.err, format+"\n", args...)
		}
	})
	return func() {
		end()
		telling.Wait()
	}
}

// waitsForJudge is waits for the answer to a command.
func (c *console) waitsForJudge(rollout string) (over func()) {
	return c.waits("rollout %s: waiting for the serve that decides for it to answer, for %s at most", rollout, commandWithin)
}

// printWaits says which guardrails the stage waits for to pass although they won't, why, and what to do.
func printWaits(w io.Writer, waits []schemas.Wait) {
	for i := range waits {
		say(w, "waiting: %s\n", waits[i].Sentence)
	}
}
