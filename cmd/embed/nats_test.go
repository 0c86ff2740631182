package embed

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// writer is a client of one server over all its starts, and counts what was acknowledged.
type writer struct {
	js    jetstream.JetStream
	acked int
}

func newWriter(t *testing.T, s *Servers) *writer {
	t.Helper()
	conn, err := nats.Connect(s.NATSURL(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectBufSize(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	w := &writer{}
	w.js, _ = jetstream.New(conn)
	if _, err := w.js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *writer) write(t *testing.T) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := w.js.Publish(ctx, "s", make([]byte, 1000))
	if err == nil {
		w.acked++
	}
	return err
}

// again writes until it succeeds, and checks that nothing that was acknowledged is gone.
func (w *writer) again(t *testing.T) {
	t.Helper()
	began := time.Now()
	for err := w.write(t); err != nil; err = w.write(t) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("it still can't be written to: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	stream, err := w.js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	if have := int(stream.CachedInfo().State.Msgs); have < w.acked {
		t.Errorf("the stream holds %d messages, %d were acknowledged", have, w.acked)
	}
}

// next is what the servers tell next.
func next(t *testing.T, told <-chan error) error {
	t.Helper()
	select {
	case err := <-told:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("nothing is told")
		return nil
	}
}

func TestStoreGivenUp(t *testing.T) {
	told := make(chan error, 9)
	s := start(t, Options{Dir: t.TempDir(), NATS: true, Told: func(err error) { told <- err }})
	w := newWriter(t, s)
	if err := w.write(t); err != nil {
		t.Fatal(err)
	}
	if err := s.nats.run.server.ShutdownJetStream(); err != nil {
		t.Fatal(err)
	}
	if err := next(t, told); err == nil || !strings.Contains(err.Error(), "gave up its store in folder "+s.nats.dir) {
		t.Errorf("told %v", err)
	}
	if err := next(t, told); err != nil {
		t.Errorf("told %v", err)
	}
	w.again(t)
	if _, err := s.Err(); err != nil {
		t.Error(err)
	}
}

// TestFullDisk fills the disk under the store twice, and makes room again.
func TestFullDisk(t *testing.T) {
	dir := smallDisk(t)
	told := make(chan error, 9)
	s := start(t, Options{Dir: dir, NATS: true, Told: func(err error) { told <- err }})
	w := newWriter(t, s)
	for range 2 {
		if err := w.write(t); err != nil {
			t.Fatal(err)
		}
		rest := filepath.Join(dir, "rest")
		fill(t, rest)
		for w.write(t) == nil {
		}
		want := fmt.Sprintf("embedded NATS can't write to folder %s: write %[1]s/room: no space left on device", s.nats.dir)
		if err := next(t, told); err == nil || err.Error() != want {
			t.Errorf("told %v, want %s", err, want)
		}
		if _, err := s.Err(); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		if err := os.Remove(rest); err != nil {
			t.Fatal(err)
		}
		w.again(t)
		if err := next(t, told); err != nil {
			t.Errorf("told %v", err)
		}
	}
}

// smallDisk mounts a file system of 4 MiB, where this process may.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := exec.Command("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", dir).Run(); err != nil {
		t.Skipf("passed over: no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
	return dir
}

// fill writes a file until the disk is full.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 512))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
