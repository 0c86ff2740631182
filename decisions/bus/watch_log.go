package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/schemas"
)

// errLogGone: the stream of the decision log isn't there.
var errLogGone = errors.New("somebody has deleted it")

// Settings of the watch of the decision log.
const (
	logLookEvery = time.Second
	logLookFirst = 370 * time.Millisecond // at no instant at which a service that begins with it does something each second
	// logLooks is how often in a row the log must be found gone: a server that has just started may not know all its streams.
	logLooks = 2
)

// logWatch is what was seen of the decision log.
type logWatch struct {
	made  time.Time // when the stream was
	last  uint64    // its last sequence
	looks int       // in a row that found no log that will do
}

// WatchLog looks until the context ends whether the decision log is there. It calls hear with what is wrong when it is gone, or there with other settings than decisions stand on, and with nil when it
// is back, or another one is in its place, or it has become shorter: then what was published to it may be missing (CheckLog). It never makes one: that would stand in the way of one that is restored.
func (b *Bus) WatchLog(ctx context.Context, hear func(error)) {
	var w logWatch
	for wait := logLookFirst; pause(ctx, wait); wait = logLookEvery {
		info, err := b.lookAtLog(ctx)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			err = errLogGone
		case err != nil: // it isn't known
			continue
		default:
			err = checkStream(info.Config, b.streamConfig())
		}
		if w.sees(&info, err) {
			hear(err)
		}
	}
}

func (b *Bus) lookAtLog(ctx context.Context) (jetstream.StreamInfo, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	stream, err := b.js.Stream(ctx, schemas.StreamName)
	if err != nil {
		return jetstream.StreamInfo{}, err
	}
	return *stream.CachedInfo(), nil
}

// LogMade is when the stream of the decision log was made; what is restored from a backup has the time of the first one.
func (b *Bus) LogMade(ctx context.Context) (time.Time, error) {
	info, err := b.lookAtLog(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("look at the decision log at %s: %w", b.where(), err)
	}
	return info.Created, nil
}

// sees takes note of a look, and reports whether it is news.
func (w *logWatch) sees(info *jetstream.StreamInfo, wrong error) bool {
	if wrong != nil {
		w.looks++
		return w.looks == logLooks
	}
	other := !w.made.IsZero() && (!w.made.Equal(info.Created) || info.State.LastSeq < w.last)
	news := w.looks >= logLooks || other
	*w = logWatch{made: info.Created, last: info.State.LastSeq}
	return news
}
