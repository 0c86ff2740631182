package reader

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats-server/v2/server/ats"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestMain(m *testing.M) {
	ats.Register() // its clock must not be born inside a bubble
	os.Exit(m.Run())
}

// host is a server that a connection finds again after it was stopped and started.
type host struct {
	*testing.T
	dir string
	now atomic.Pointer[server.Server]
	js  jetstream.JetStream
}

func (h *host) InProcessConn() (net.Conn, error) { return h.now.Load().InProcessConn() }

func (h *host) start() {
	h.Helper()
	s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: h.dir, NoSigs: true, NoLog: true})
	h.must(err)
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		h.Fatal("NATS is not ready")
	}
	h.now.Store(s)
}

func (h *host) stop() {
	h.now.Load().Shutdown()
	h.now.Load().WaitForShutdown()
}

func (h *host) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *host) put(words ...string) {
	h.Helper()
	for _, word := range words {
		_, err := h.js.Publish(h.Context(), "s."+word[:1], []byte(word))
		h.must(err)
	}
}

func (h *host) make() {
	h.Helper()
	_, err := h.js.CreateStream(h.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}})
	h.must(err)
}

// read reads until a word comes, a time has passed, or the reading ends, and says what came of it.
func (h *host) read(from uint64, until string, within time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(h.Context(), within)
	defer cancel()
	var words []string
	err := Read(ctx, h.js, Query{
		Stream: "S", Subjects: []string{"s.a", "s.b"}, From: from, Kept: time.Minute, Timeout: 2 * time.Second, CaughtUp: func() { words = append(words, "|") },
		Give: func(m jetstream.Msg, meta *jetstream.MsgMetadata) (bool, error) {
			word := string(m.Data())
			words = append(words, fmt.Sprint(word, meta.Sequence.Stream))
			return word == until, map[bool]error{true: errGiven}[word == "a-bad"]
		},
	})
	return strings.Join(words, " "), err
}

var errGiven = errors.New("given")

// TestRead: what stands there, then what comes; and whatever may have put another stream in the place of the one that is read ends the reading within seconds.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := &host{T: t, dir: dir}
		h.start()
		defer func() { h.stop() }()
		conn, err := nats.Connect("", nats.InProcessServer(h), nats.MaxReconnects(-1), nats.ReconnectWait(time.Second), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		h.must(err)
		defer conn.Close()
		h.js, err = jetstream.New(conn)
		h.must(err)
		h.make()
		reads := func(name string, from uint64, until, want string, wantErr error) {
			t.Helper()
			if have, err := h.read(from, until, time.Hour); have != want || !errors.Is(err, wantErr) {
				t.Errorf("%s: %s (%v), want %s (%v)", name, have, err, want, wantErr)
			}
		}
		later := func(wait time.Duration, do func()) { go func() { time.Sleep(wait); do() }() }

		later(time.Minute, func() { h.put("a1") })
		reads("nothing stood there", 0, "a1", "| a11", nil)
		h.put("b1", "c1", "a2")
		later(time.Minute, func() { h.put("b2") })
		reads("the last of each subject", 0, "b2", "b12 a24 | b25", nil)
		reads("from a place on", 2, "b2", "b12 a24 b25", nil)
		if have, err := h.read(0, "", time.Hour); have != "a24 b25 |" || err != nil {
			t.Errorf("the context ends: %s (%v)", have, err)
		}
		h.put("a-bad")
		reads("who is given it fails", 6, "", "a-bad6", errGiven)
		h.put("a3")

		began := time.Now()
		later(time.Minute, func() { h.must(h.js.DeleteStream(t.Context(), "S")) })
		reads("the stream is deleted", 0, "", "b25 a37 |", ErrBrokenOff)
		time.Sleep(time.Second) // until it is, for who deleted it, too
		h.make()
		h.put("a4")
		reads("a stream made anew", 0, "a4", "a41", nil)

		copied := t.TempDir()
		h.stop()
		h.must(os.CopyFS(copied, os.DirFS(dir)))
		h.start()
		time.Sleep(5 * time.Second)
		h.put("a5", "a6")
		later(time.Minute, func() {
			h.stop()
			h.must(os.RemoveAll(dir))
			h.must(os.CopyFS(dir, os.DirFS(copied)))
			h.start()
		})
		reads("the server is restored from an older copy", 0, "", "a63 |", ErrBrokenOff)
		if took := time.Since(began); took > 3*time.Minute {
			t.Errorf("that took %s", took)
		}
		h.put("a7")
		reads("and read again", 0, "a7", "a72", nil)
		h.must(h.js.DeleteStream(t.Context(), "S"))
		if _, err := h.read(0, "", time.Hour); !errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, ErrBrokenOff) {
			t.Errorf("no stream: %v", err)
		}
	})
}
