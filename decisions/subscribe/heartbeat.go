package subscribe

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"streamcanary/schemas"
)

const (
	// firstBeat is how long the first heartbeat may take; silentBeats how many periods may pass without one after that.
	firstBeat   = 30 * time.Second
	silentBeats = 3
	beatsBuffer = 16
)

// watchJudge tells OnJudge when the judge falls silent, and when it speaks again.
func watchJudge(ctx context.Context, conn *nats.Conn, o *Options) {
	beats := make(chan *nats.Msg, beatsBuffer) // where it is full, nats.go drops the newest: a beat more or less
	subscription, err := conn.ChanSubscribe(schemas.HeartbeatSubject, beats)
	if err != nil {
		o.OnError(fmt.Errorf("watch heartbeats: %w", err))
		return
	}
	defer func() { _ = subscription.Unsubscribe() }()
	wait, alive, last := firstBeat, true, time.Now()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-beats:
			beat, err := schemas.DecodeHeartbeat(m.Data)
			if err != nil {
				o.OnError(err)
				continue
			}
			wait, last = silentBeats*time.Duration(beat.EveryMs)*time.Millisecond, time.Now()
			if !alive {
				alive = true
				o.OnJudge(true, last)
			}
		case <-timer.C:
			if alive {
				alive = false
				o.OnJudge(false, last)
			}
		}
		timer.Reset(wait)
	}
}
