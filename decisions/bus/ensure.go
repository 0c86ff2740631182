package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/schemas"
)

// Settings of the stream and the buckets.
const (
	duplicatesWindow = 10 * time.Minute
	// KeepFor is for how long what is published is kept.
	KeepFor = 400 * 24 * time.Hour
	// KeepPerSubject is how many decisions of a model (acks of a consumer, events of a kind, heartbeats) are kept: beyond it the
	// oldest of that subject goes.
	KeepPerSubject = 10000
	maxMessage     = 1 << 20
	routeHistory   = 16
)

// streamConfig has no direct gets: a replica that lags would answer a read-back with an old message, which looks like a fence.
func (b *Bus) streamConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: schemas.StreamName, Description: "decisions, acks, events and heartbeats of streamcanary",
		Subjects: []string{schemas.AllDecisions, schemas.AllAcks, schemas.AllNotices, schemas.HeartbeatSubject},
		Storage:  jetstream.FileStorage, Replicas: b.o.Replicas, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew,
		MaxAge: KeepFor, MaxMsgsPerSubject: KeepPerSubject, MaxMsgSize: maxMessage, Duplicates: duplicatesWindow,
		DenyDelete: true, DenyPurge: true, Compression: jetstream.S2Compression,
	}
}

func (b *Bus) bucketConfigs() []jetstream.KeyValueConfig {
	return []jetstream.KeyValueConfig{
		b.routesConfig(),
		b.rolloutsConfig(),
	}
}

func (b *Bus) rolloutsConfig() jetstream.KeyValueConfig {
	return jetstream.KeyValueConfig{
		Bucket: schemas.RolloutsBucket, Description: "each rollout's file and record", History: 1,
		Storage: jetstream.FileStorage, Replicas: b.o.Replicas,
	}
}

func (b *Bus) routesConfig() jetstream.KeyValueConfig {
	return jetstream.KeyValueConfig{
		Bucket: schemas.RoutesBucket, Description: "the last effective decision of each model", History: routeHistory,
		Storage: jetstream.FileStorage, Replicas: b.o.Replicas,
	}
}

// Ensure makes the stream and the buckets where they are absent, and checks them where they are not (ErrMismatch): a stream whose
// messages can be deleted, or that isn't on disk, breaks what the decision log promises. It never changes an existing one.
func (b *Bus) Ensure(ctx context.Context) error {
	if err := b.ensureStream(ctx); err != nil {
		return fmt.Errorf("stream %s at %s: %w", schemas.StreamName, b.where(), noJetStream(err))
	}
	for _, config := range b.bucketConfigs() {
		if err := b.ensureBucket(ctx, config); err != nil {
			return fmt.Errorf("bucket %s at %s: %w", config.Bucket, b.where(), noJetStream(err))
		}
	}
	return nil
}

func noJetStream(err error) error {
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
		return fmt.Errorf("%w: start the server with -js, and allow it for this account", err)
	}
	return err
}

// noLog says of an error what it means that the decision log isn't there. Others are passed on.
func noLog(err error) error {
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return noJetStream(err)
	}
	return fmt.Errorf("the decision log (stream %s) isn't there; serve makes it when it starts: is this its NATS, and its account? If somebody has deleted it, restore it from a backup (`nats stream restore`), and serve goes on by itself; "+
		"where there is none, `streamcanary rollout show NAME` says what to do: %w", schemas.StreamName, err)
}

func (b *Bus) ensureStream(ctx context.Context) error {
	ctx, cancel := b.within(ctx)
	defer cancel()
	want := b.streamConfig()
	stream, err := b.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = b.js.CreateStream(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another instance was faster
			stream, err = b.js.Stream(ctx, want.Name)
		}
	}
	if err != nil {
		return err
	}
	return checkStream(stream.CachedInfo().Config, want)
}

// checkStream compares what promises stand on; how long and how often messages are kept is the operator's to change.
func checkStream(have, want jetstream.StreamConfig) error {
	subjects := slices.Sorted(slices.Values(have.Subjects))
	switch {
	case !slices.Equal(subjects, slices.Sorted(slices.Values(want.Subjects))):
		return mismatch("subjects", have.Subjects, want.Subjects)
	case have.Storage != want.Storage:
		return mismatch("storage", have.Storage, want.Storage)
	case have.Retention != want.Retention:
		return mismatch("retention", have.Retention, want.Retention)
	case have.Discard != want.Discard:
		return mismatch("discard", have.Discard, want.Discard)
	case !have.DenyDelete || !have.DenyPurge:
		return mismatch("deny_delete and deny_purge", []bool{have.DenyDelete, have.DenyPurge}, []bool{true, true})
	case have.Duplicates < want.Duplicates:
		return mismatch("duplicate_window", have.Duplicates, want.Duplicates)
	case have.AllowDirect:
		return mismatch("allow_direct", true, false)
	case have.DiscardNewPerSubject:
		return mismatch("discard_new_per_subject", true, false)
	}
	return nil
}

func mismatch(setting string, have, want any) error {
	return fmt.Errorf("%w: %s is %v, want %v: change it there, or let streamcanary use an account of its own", ErrMismatch, setting, have, want)
}

func (b *Bus) ensureBucket(ctx context.Context, want jetstream.KeyValueConfig) error {
	ctx, cancel := b.within(ctx)
	defer cancel()
	bucket, err := b.js.KeyValue(ctx, want.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		bucket, err = b.js.CreateKeyValue(ctx, want)
		if err == nil && want.Bucket == schemas.RoutesBucket {
			b.madeRoutes.Store(true)
		}
		if errors.Is(err, jetstream.ErrBucketExists) { // another instance was faster
			bucket, err = b.js.KeyValue(ctx, want.Bucket)
		}
	}
	if err != nil {
		return err
	}
	status, err := bucket.Status(ctx)
	if err != nil {
		return err
	}
	if status.TTL() != 0 {
		return mismatch("ttl", status.TTL(), "none")
	}
	if own, ok := status.(*jetstream.KeyValueBucketStatus); ok && own.StreamInfo().Config.Storage != want.Storage {
		return mismatch("storage", own.StreamInfo().Config.Storage, want.Storage)
	}
	return nil
}

// bucket opens a bucket that Ensure made.
func (b *Bus) bucket(ctx context.Context, name string) (jetstream.KeyValue, error) {
	bucket, err := b.js.KeyValue(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s at %s: %w", name, b.where(), noJetStream(err))
	}
	return bucket, nil
}
