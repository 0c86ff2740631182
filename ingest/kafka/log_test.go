package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"streamcanary/ingest"
)

// drain reads a log from offsets to its present end and returns "partition:offset key=value".
func drain(t *testing.T, l *Log, offsets map[int32]int64) []string {
	t.Helper()
	r, err := l.ReadFrom(t.Context(), offsets)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got []string
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := r.Drain(ctx, func(e Entry) error {
		got = append(got, fmt.Sprintf("%d:%d %s=%s", e.Partition, e.Offset, e.Key, e.Value))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !r.CaughtUp() {
		t.Error("drained, but not caught up")
	}
	return got
}

// TestLog appends one by one and many together, and reads back from everywhere.
func TestLog(t *testing.T) {
	inBubble(t, nil, func(f *fake) { testLog(f.T, f.connect()) })
}

// testLog runs against any cluster, which it leaves by closing the client.
func testLog(t *testing.T, c *Client) {
	defer c.Close()
	ctx := t.Context()
	topic := fmt.Sprintf("log-%d", time.Now().UnixNano())
	config := map[string]string{"cleanup.policy": "delete", "retention.ms": "86400000"}
	for range 2 { // the second time it is there
		if err := c.EnsureTopic(ctx, topic, 1, config); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.EnsureTopic(ctx, topic, 3, config); err == nil || err.Error() != "topic "+topic+" has 1 partitions, 3 are needed" {
		t.Errorf("more partitions: %v", err)
	}
	l := c.Log(topic, 0)
	if got := drain(t, l, nil); got != nil {
		t.Errorf("empty log: %q", got)
	}
	for n := range 3 {
		e, err := l.Append(ctx, Entry{Key: []byte("k"), Value: fmt.Append(nil, n)})
		if err != nil || e.Partition != 0 || e.Offset != int64(n) {
			t.Fatalf("append %d: %+v, %v", n, e, err)
		}
	}
	var many []Entry
	for n := 3; n < 100; n++ {
		many = append(many, Entry{Key: []byte("k"), Value: fmt.Append(nil, n)})
	}
	placed, err := l.AppendAll(ctx, many)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range placed {
		if e.Offset != int64(i+3) {
			t.Fatalf("entry %d of many stands at %d", i, e.Offset)
		}
	}
	got, want := drain(t, l, map[int32]int64{0: 98}), []string{"0:98 k=98", "0:99 k=99"}
	if !slices.Equal(got, want) {
		t.Errorf("from 98: %q", got)
	}
	if got := drain(t, l, nil); len(got) != 100 || got[0] != "0:0 k=0" || got[99] != "0:99 k=99" {
		t.Errorf("all: %q", got)
	}
	if ends, err := l.EndOffsets(ctx); err != nil || ends[0] != 100 {
		t.Errorf("ends %v, %v", ends, err)
	}
	testFollow(t, l)
}

// testFollow reads on past the end that was known.
func testFollow(t *testing.T, l *Log) {
	ctx := t.Context()
	r, err := l.ReadFrom(ctx, map[int32]int64{0: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if !r.CaughtUp() {
		t.Error("at the end, but not caught up")
	}
	if _, err := l.Append(ctx, Entry{Value: []byte("later"), Headers: []ingest.Header{{Key: "h", Value: []byte("v")}}, TimeMs: 77}); err != nil {
		t.Fatal(err)
	}
	if err := r.Refresh(ctx); err != nil || r.CaughtUp() {
		t.Errorf("an entry later: caught up %v, %v", r.CaughtUp(), err)
	}
	e, err := r.Next(ctx)
	if err != nil || string(e.Value) != "later" || e.Key != nil || e.TimeMs != 77 || len(e.Headers) != 1 || e.Headers[0].Key != "h" || string(e.Headers[0].Value) != "v" {
		t.Errorf("followed: %+v, %v", e, err)
	}
	if !r.CaughtUp() || r.Positions()[0] != 101 {
		t.Errorf("caught up %v, positions %v", r.CaughtUp(), r.Positions())
	}
	stop, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := r.Next(stop); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nothing more: %v", err)
	}
	if _, err := l.ReadFrom(ctx, map[int32]int64{5: 0}); err == nil || !strings.Contains(err.Error(), "partition 5 does not exist") {
		t.Errorf("a partition that isn't there: %v", err)
	}
}

// TestLogKeys spreads keys over partitions as every Kafka client does, each key in order.
func TestLogKeys(t *testing.T) {
	inBubble(t, []kfake.Opt{kfake.SeedTopics(8, "l")}, func(f *fake) {
		c := f.connect()
		defer c.Close()
		// Computed by the Java client's Utils.toPositive(Utils.murmur2(key)) % 8, whose values for these keys are its own test's.
		l := c.Log("l", 0)
		at := map[string]int32{}
		for _, key := range []string{"21", "foobar", "21", "a-little-bit-long-string", "foobar"} {
			e, err := l.Append(f.Context(), Entry{Key: []byte(key), Value: []byte("v")})
			if err != nil {
				t.Fatal(err)
			}
			if p, ok := at[key]; ok && p != e.Partition {
				t.Errorf("key %s in partitions %d and %d", key, p, e.Partition)
			}
			at[key] = e.Partition
		}
		// -973932308, -790332482, -985981536: murmur2 of the three, from Kafka's UtilsTest.
		want := map[string]int32{}
		for key, hash := range map[string]int32{"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536} {
			want[key] = (hash & 0x7fffffff) % 8
		}
		if fmt.Sprint(at) != fmt.Sprint(want) {
			t.Errorf("partitions %v, want %v", at, want)
		}
	})
}

// TestLogGap reads a log whose beginning is gone.
func TestLogGap(t *testing.T) {
	inBubble(t, []kfake.Opt{kfake.SeedTopics(1, "l")}, func(f *fake) {
		c := f.connect()
		defer c.Close()
		f.produce("l", 0, []byte("a"), []byte("b"), []byte("c"))
		if err := f.cluster.DeleteRecords("l", 0, 2); err != nil {
			t.Fatal(err)
		}
		if got, want := drain(f.T, c.Log("l", 0), nil), []string{"0:2 =c"}; !slices.Equal(got, want) {
			t.Errorf("from the beginning: %q", got)
		}
		r, err := c.Log("l", 0).ReadFrom(f.Context(), map[int32]int64{0: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for range 2 { // it is final
			_, err = r.Next(f.Context())
			var g *Gap
			if !errors.As(err, &g) || g.From != 1 || g.To != 2 {
				t.Errorf("got %v", err)
			}
		}
	})
}

// TestAppendUnsettled cuts the network: appends end in time and say that nothing is known, and Close doesn't hang.
func TestAppendUnsettled(t *testing.T) {
	inBubble(t, []kfake.Opt{kfake.SeedTopics(1, "l")}, func(f *fake) {
		network := &switchedNetwork{VirtualNetwork: f.network}
		c, err := Connect(f.Context(), Connection{Brokers: []string{f.address}, Dial: network.DialContext})
		if err != nil {
			t.Fatal(err)
		}
		l := c.Log("l", 7*time.Second)
		if _, err := l.Append(f.Context(), Entry{Value: []byte("a")}); err != nil {
			t.Fatal(err)
		}
		f.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
			network.set(true) // the broker has got it, and its answer is lost
			return nil, nil, false
		})
		for _, value := range []string{"b", "c"} {
			began := time.Now()
			if _, err := l.Append(f.Context(), Entry{Value: []byte(value)}); !errors.Is(err, ErrUnsettled) {
				t.Errorf("append %s without a network: %v", value, err)
			}
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("append %s took %s", value, took)
			}
		}
		ctx, cancel := context.WithTimeout(f.Context(), time.Second)
		defer cancel()
		if _, err := l.Append(ctx, Entry{Value: []byte("d")}); !errors.Is(err, ErrUnsettled) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("append with a shorter context: %v", err)
		}
		began := time.Now()
		c.Close()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("Close took %s", took)
		}
		if _, err := l.Append(f.Context(), Entry{Value: []byte("e")}); err == nil {
			t.Error("append after Close")
		}
	})
}

// TestAppendGivenUp cuts the network while entries are appended one a second until the first one fails, by its deadline or by the
// context's end: it fails in time, and when the network is back the log has no hole.
func TestAppendGivenUp(t *testing.T) {
	for _, row := range []struct {
		name   string
		cancel time.Duration
		want   time.Duration
	}{
		{"by its deadline", time.Hour, 7 * time.Second},
		{"by the context's end", 3 * time.Second, 3 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			inBubble(t, []kfake.Opt{kfake.SeedTopics(1, "l")}, func(f *fake) {
				network := &switchedNetwork{VirtualNetwork: f.network}
				c, err := Connect(f.Context(), Connection{Brokers: []string{f.address}, Dial: network.DialContext})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				l := c.Log("l", 7*time.Second)
				if _, err := l.Append(f.Context(), Entry{Value: []byte("0")}); err != nil {
					t.Fatal(err)
				}
				network.set(true)
				ctx, cancel := context.WithTimeout(f.Context(), row.cancel)
				defer cancel()
				began := time.Now()
				failed := make(chan error, 100)
				for n := 1; len(failed) == 0; n++ {
					l.AppendAsync(ctx, Entry{Value: fmt.Append(nil, n)}, func(_ Entry, err error) {
						if err != nil {
							failed <- err
						}
					})
					time.Sleep(time.Second)
				}
				if err := <-failed; !errors.Is(err, ErrUnsettled) || time.Since(began) > row.want+time.Second {
					t.Errorf("the first failure is %v after %s, want %s", err, time.Since(began), row.want)
				}
				network.set(false)
				time.Sleep(time.Minute)
				for n, got := range drain(f.T, l, nil) {
					if want := fmt.Sprintf("0:%d =%d", n, n); got != want {
						t.Errorf("got %s, want %s", got, want)
					}
				}
			})
		})
	}
}

// TestAppendErrors has what a broker refuses.
func TestAppendErrors(t *testing.T) {
	inBubble(t, []kfake.Opt{kfake.SeedTopics(1, "l")}, func(f *fake) {
		c := f.connect()
		defer c.Close()
		if _, err := c.Log("l", 0).Append(f.Context(), Entry{Value: make([]byte, 2<<20)}); !errors.Is(err, ErrTooBig) {
			t.Errorf("too big: %v", err)
		}
		f.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed})
		_, err := c.Log("l", 0).AppendAll(f.Context(), []Entry{{Value: []byte("a")}})
		if err == nil || !strings.HasPrefix(err.Error(), "append to topic l: TOPIC_AUTHORIZATION_FAILED") {
			t.Errorf("refused: %v", err)
		}
		if _, err := c.Log("l", 0).Append(f.Context(), Entry{Value: []byte("b")}); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// TestDeadLetters writes letters and reads them back: the record untouched, our headers after its own.
func TestDeadLetters(t *testing.T) {
	inBubble(t, []kfake.Opt{kfake.SeedTopics(1, "dlq")}, func(f *fake) {
		c := f.connect()
		defer c.Close()
		l := c.Log("dlq", 0)
		d := NewDeadLetters(l)
		letters := []ingest.DeadLetter{
			{
				Partition: ingest.Partition{Topic: "predictions", Number: 3},
				Record:    &ingest.Record{Key: []byte("k"), Value: []byte("\xffbad"), Offset: 42, Headers: []ingest.Header{{Key: "own", Value: []byte{0, 1}}}},
				Invalid:   ingest.Invalidf(ingest.ReasonSyntax, "at byte 1: no"), AtMs: 1760000400123,
			},
			{
				Partition: ingest.Partition{Topic: "predictions", Number: 3},
				Record:    &ingest.Record{Value: make([]byte, 2<<20), Offset: 43},
				Invalid:   ingest.Invalidf(ingest.ReasonTooBig, "2097152 bytes, more than 262144"), AtMs: 1760000400123,
			},
		}
		for i := range letters {
			if err := d.Write(f.Context(), &letters[i]); err != nil {
				t.Fatal(err)
			}
			clear(letters[i].Record.Key) // the writer must have its own copy
			clear(letters[i].Record.Value)
		}
		if err := d.Flush(f.Context()); err != nil {
			t.Fatal(err)
		}
		r, err := l.ReadFrom(f.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		ours := "sc-error=%s sc-detail=%s sc-topic=predictions sc-partition=3 sc-offset=%d sc-time=2025-10-09T09:00:00.123Z"
		var got []string
		if err := r.Drain(f.Context(), func(e Entry) error {
			var b bytes.Buffer
			fmt.Fprintf(&b, "%q %q", e.Key, e.Value)
			for _, h := range e.Headers {
				fmt.Fprintf(&b, " %s=%s", h.Key, h.Value)
			}
			got = append(got, b.String())
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		want := []string{
			`"k" "\xffbad" own=` + "\x00\x01 " + fmt.Sprintf(ours, "broken_json", "at byte 1: no", 42),
			`"" "" ` + fmt.Sprintf(ours, "too_big", "2097152 bytes, more than 262144", 43) + " sc-omitted=2097152",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}

// TestDeadLettersLost holds that a letter that cannot be kept stops its writer.
func TestDeadLettersLost(t *testing.T) {
	inBubble(t, []kfake.Opt{kfake.SeedTopics(1, "dlq")}, func(f *fake) {
		c := f.connect()
		defer c.Close()
		d := NewDeadLetters(c.Log("dlq", 0))
		f.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed})
		letter := &ingest.DeadLetter{Record: &ingest.Record{}, Invalid: ingest.Invalidf(ingest.ReasonSyntax, "no")}
		if err := d.Write(f.Context(), letter); err != nil {
			t.Fatal(err)
		}
		first := d.Flush(f.Context())
		if first == nil || !strings.Contains(first.Error(), "TOPIC_AUTHORIZATION_FAILED") {
			t.Errorf("Flush: %v", first)
		}
		if err := d.Write(f.Context(), letter); !errors.Is(err, first) {
			t.Errorf("Write afterwards: %v", err)
		}
	})
}

// TestFetchWait: a client takes up one partition after the other, so its first request may name only some that have nothing. Until it is answered the others are not
// asked for.
func TestFetchWait(t *testing.T) {
	inBubble(t, []kfake.Opt{kfake.SeedTopics(1, "log")}, func(f *fake) {
		c := f.connect()
		defer c.Close()
		f.produce("log", 0, []byte("a"))
		asked := 0
		f.cluster.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
			f.cluster.KeepControl()
			if asked++; request.(*kmsg.FetchRequest).MaxWaitMillis > 500 {
				f.Errorf("a broker may wait for %d ms", request.(*kmsg.FetchRequest).MaxWaitMillis)
			}
			return nil, nil, false
		})
		if got := drain(f.T, c.Log("log", 0), nil); len(got) != 1 || asked == 0 {
			f.Errorf("drained %q by %d requests", got, asked)
		}
	})
}
