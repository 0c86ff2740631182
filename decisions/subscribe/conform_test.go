package subscribe

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// TestConformance runs every client of decisions through the same script of messages, testdata/conformance/*.txt, against a real NATS server: this package, the one in Python,
// and one of your own, whose command CONFORMANCE_CLIENT holds. deploy/PROTOCOL.md says how a script is read and what such a command must do.
func TestConformance(t *testing.T) {
	paths, err := filepath.Glob("testdata/conformance/*.txt")
	if err != nil || len(paths) < 8 {
		t.Fatalf("%d scripts (%v)", len(paths), err)
	}
	for _, c := range clients(t) {
		t.Run(c.name, func(t *testing.T) {
			if c.missing != "" {
				t.Skip("skipped, not passed: " + c.missing)
			}
			for _, path := range paths {
				t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
					t.Parallel()
					text, err := os.ReadFile(path)
					if err != nil {
						t.Fatal(err)
					}
					if len(c.turns) > 0 && strings.Count(string(text), "\nstart\n") < 2 {
						t.Skip("it starts its client only once")
					}
					newTrial(t, c).run(path, string(text))
				})
			}
		})
	}
}

const (
	// conformWait bounds the waiting for what a client must do.
	conformWait = time.Minute
	// conformPause is between two looks.
	conformPause = 20 * time.Millisecond
)

// A trial is one client in one script.
type trial struct {
	t       *testing.T
	client  conformClient
	conn    *nats.Conn
	js      jetstream.JetStream
	bus     *bus.Bus
	schema  *jsonschema.Schema // of acks
	config  conformConfig
	starts  int
	running conformRun
	at      server.Options
	server  *server.Server
	next    uint64          // sequence of the stream's next message to look at
	copied  string          // folder of the copy of what the server had
	kept    uint64          // next, as it was then
	acked   [2]schemas.Time // of the last ack, and of the one before
}

// newTrial starts a server, with the stream and the buckets as serve makes them.
func newTrial(t *testing.T, c conformClient) *trial {
	t.Helper()
	dir := t.TempDir()
	x := &trial{t: t, client: c, next: 1, schema: ackSchema(t), at: server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: filepath.Join(dir, "nats"), NoSigs: true, NoLog: true,
		Users: []*server.User{{Username: "serve", Password: "s"}, {Username: "client", Password: "c", Permissions: permitted()}},
	}}
	x.must(x.back())
	t.Cleanup(func() { x.away() })
	x.at.Port = x.server.Addr().(*net.TCPAddr).Port
	var err error
	x.conn, err = nats.Connect(x.server.ClientURL(), nats.UserInfo("serve", "s"), nats.MaxReconnects(-1), nats.ReconnectWait(conformPause))
	x.must(err)
	t.Cleanup(x.conn.Close)
	x.js, err = jetstream.New(x.conn)
	x.must(err)
	x.bus, err = bus.Connect(t.Context(), bus.Options{Conn: x.conn, Key: key(1)})
	x.must(err)
	x.must(x.bus.Ensure(t.Context()))
	trust := filepath.Join(dir, "trust.txt")
	x.must(os.WriteFile(trust, []byte("# of this test\n"+key(1).TrustLine()+" whoever\n"), 0o644))
	x.config = conformConfig{
		URLs: []string{strings.Replace(x.server.ClientURL(), "nats://", "nats://client:c@", 1)}, Models: []string{model}, Instance: "i-1", Trust: trust, Dir: filepath.Join(dir, "positions"), Answers: map[string][]string{},
	}
	return x
}

// permitted is what deploy/PROTOCOL.md says that a client may do in NATS, and nothing else.
func permitted() *server.Permissions {
	publish := []string{"streamcanary.ack.ranker=2Fv=2E1.eu", "streamcanary.ack.ranker=2Fv=2E1.users"}
	for _, stream := range []string{"STREAMCANARY", "KV_streamcanary-routes"} {
		publish = append(publish, "$JS.API.CONSUMER.MSG.NEXT."+stream+".>")
		for _, do := range []string{"CREATE", "INFO"} {
			publish = append(publish, "$JS.API.CONSUMER."+do+"."+stream+".>")
		}
	}
	return &server.Permissions{Publish: &server.SubjectPermission{Allow: publish}, Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>", "streamcanary.heartbeat"}}}
}

// back starts the server, away ends it.
func (x *trial) back() error {
	options := x.at
	s, err := server.NewServer(&options)
	if err != nil {
		return err
	}
	s.Start()
	x.server = s
	if !s.ReadyForConnections(conformWait) {
		return errors.New("NATS is not ready")
	}
	return nil
}

// reachable waits until this side is connected again.
func (x *trial) reachable() error {
	for began := time.Now(); ; time.Sleep(conformPause) {
		err := x.conn.FlushTimeout(time.Second)
		if err == nil || time.Since(began) > conformWait {
			return err
		}
	}
}

func (x *trial) away() {
	x.server.Shutdown()
	x.server.WaitForShutdown()
}

func ackSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := schemas.Schema("ack")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("ack.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("ack.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (x *trial) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

// run reads a script twice: what the client will answer must be known before it starts.
func (x *trial) run(path, script string) {
	x.t.Helper()
	lines := strings.Split(script, "\n")
	for _, line := range lines {
		switch words := strings.Fields(line); {
		case len(words) == 2 && words[0] == "client":
			x.config.Store = words[1] == "store"
			x.config.Consumer = map[string]string{"router": "eu", "store": "users"}[words[1]]
		case len(words) > 2 && words[0] == "answers":
			x.config.Answers[words[1]] = words[2:]
		}
	}
	for i, line := range lines {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" || words[0] == "client" || words[0] == "answers" {
			continue
		}
		if err := x.step(words); err != nil {
			x.t.Fatalf("%s:%d: %s: %v", path, i+1, line, err)
		}
	}
	if x.running != nil {
		x.t.Fatalf("%s ends without a stop", path)
	}
}

func (x *trial) step(words []string) error {
	switch words[0] {
	case "start":
		client := x.client
		if n := len(client.turns); n > 0 {
			client = client.turns[x.starts%n]
		}
		x.starts++
		var err error
		x.running, err = client.start(x.t, x.config)
		return err
	case "stop":
		return x.stop()
	case "away":
		x.away()
		return x.pause(words[1:])
	case "back":
		if err := x.back(); err != nil {
			return err
		}
		if err := x.reachable(); err != nil {
			return err
		}
		return x.pause(words[1:])
	case "copy":
		x.copied, x.kept = x.t.TempDir(), x.next
		return os.CopyFS(x.copied, os.DirFS(x.at.StoreDir))
	case "restore":
		x.next = x.kept
		if err := os.RemoveAll(x.at.StoreDir); err != nil {
			return err
		}
		return os.CopyFS(x.at.StoreDir, os.DirFS(x.copied))
	case "anew":
		x.next = 1
		if err := x.js.DeleteStream(x.t.Context(), schemas.StreamName); err != nil {
			return err
		}
		return x.bus.Ensure(x.t.Context())
	case "consumers":
		return x.expectConsumers(words[1:])
	case "send":
		return x.send(words[1], words[2:])
	case "ack":
		return x.expectAck(strings.Join(words, " "))
	case "within":
		return x.expectSoon(words[1:])
	case "given", "told", "refused":
		return x.expectLine(strings.Join(words, " "))
	}
	return fmt.Errorf("no step is called %q", words[0])
}

// pause lets a time pass, where one is named.
func (x *trial) pause(words []string) error {
	if len(words) == 0 {
		return nil
	}
	d, err := time.ParseDuration(words[0])
	time.Sleep(d)
	return err
}

// expectConsumers looks whether the client has at most so many consumers.
func (x *trial) expectConsumers(words []string) error {
	most, err := strconv.Atoi(strings.Join(words, " "))
	if err != nil {
		return err
	}
	have := 0
	for name := range x.js.StreamNames(x.t.Context()).Name() {
		stream, err := x.js.Stream(x.t.Context(), name)
		if err != nil {
			return err
		}
		have += stream.CachedInfo().State.Consumers
	}
	if have > most {
		return fmt.Errorf("there are %d consumers", have)
	}
	return nil
}

// stop ends the client; after that nothing may be left that the script didn't name.
func (x *trial) stop() error {
	if err := x.running.stop(); err != nil {
		return err
	}
	for line := range x.running.lines() {
		if !passedOver(line) {
			return fmt.Errorf("the client said %q, which the script doesn't have", line)
		}
	}
	x.running = nil
	text, err := x.nextAck(0)
	if err == nil && text != "" {
		err = fmt.Errorf("the client answered %q, which the script doesn't have", text)
	}
	return err
}

// passedOver reports whether a line of the client is for people: what went wrong, other than a decision that it didn't obey.
func passedOver(line string) bool {
	return strings.HasPrefix(line, "error ") && !strings.Contains(strings.ToLower(line), "permissions violation")
}

func (x *trial) expectLine(want string) error {
	timer := time.NewTimer(conformWait)
	defer timer.Stop()
	for {
		select {
		case line, open := <-x.running.lines():
			if !open {
				return fmt.Errorf("the client has ended")
			}
			if passedOver(line) {
				x.t.Log(line)
				continue
			}
			if kind, _, _ := strings.Cut(line, " "); kind == "refused" {
				line = kind // why is its own to say
			}
			if line != want {
				return fmt.Errorf("the client said %q", line)
			}
			return nil
		case <-timer.C:
			return fmt.Errorf("the client said nothing for %s", conformWait)
		}
	}
}

func (x *trial) expectAck(want string) error {
	text, err := x.nextAck(conformWait)
	switch {
	case err != nil:
		return err
	case text == "":
		return fmt.Errorf("the client answered nothing for %s", conformWait)
	case text != want:
		return fmt.Errorf("the client answered %q", text)
	}
	return nil
}

// expectSoon looks whether the last ack came at most so long after the one before it, by the times that the client gave them.
func (x *trial) expectSoon(words []string) error {
	most, err := time.ParseDuration(strings.Join(words, " "))
	if took := time.Duration(x.acked[0]-x.acked[1]) * time.Millisecond; err == nil && took > most {
		err = fmt.Errorf("it took %s", took)
	}
	return err
}

// nextAck is the next ack that the stream has, or gets in time; "": none.
func (x *trial) nextAck(within time.Duration) (string, error) {
	for began := time.Now(); ; {
		m, err := x.message()
		switch {
		case err == nil && strings.HasPrefix(m.Subject, "streamcanary.ack."):
			x.next++
			return x.ackText(m)
		case err == nil:
			x.next++
			continue
		case time.Since(began) >= within && errors.Is(err, jetstream.ErrMsgNotFound):
			return "", nil
		case time.Since(began) >= within:
			return "", err
		}
		time.Sleep(conformPause)
	}
}

// message is the stream's next one.
func (x *trial) message() (*jetstream.RawStreamMsg, error) {
	stream, err := x.js.Stream(x.t.Context(), schemas.StreamName)
	if err != nil {
		return nil, err
	}
	return stream.GetMsg(x.t.Context(), x.next)
}

// ackText is an ack in the script's words: its subject, its id and its body must be what the protocol says.
func (x *trial) ackText(m *jetstream.RawStreamMsg) (string, error) {
	subject, err := schemas.AckSubject(model, x.config.Consumer)
	if err != nil {
		return "", err
	}
	if m.Subject != subject {
		return "", fmt.Errorf("an ack on subject %s, want %s", m.Subject, subject)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(m.Data))
	if err == nil {
		err = x.schema.Validate(value)
	}
	if err != nil {
		return "", fmt.Errorf("ack %s: %w", m.Data, err)
	}
	a, err := schemas.DecodeAck(m.Data)
	if err != nil {
		return "", err
	}
	if a.Consumer != x.config.Consumer || a.Instance != x.config.Instance || a.Decision != fmt.Sprintf("r-1.%d.%d", a.Epoch, a.Seq) {
		return "", fmt.Errorf("ack %s: it is of another consumer, instance or decision", m.Data)
	}
	if age := time.Since(time.UnixMilli(int64(a.At))); age < -conformWait || age > conformWait {
		return "", fmt.Errorf("ack %s: its time is %s off", m.Data, age)
	}
	x.acked = [2]schemas.Time{a.At, x.acked[0]}
	said := sha256.Sum256([]byte(a.Why + "\n" + a.Snapshot))
	id := strings.Join([]string{a.Decision, a.Consumer, a.Instance, string(a.Status), hex.EncodeToString(said[:])[:16]}, "/")
	if have := m.Header.Get(schemas.HeaderMessageID); have != id {
		return "", fmt.Errorf("an ack with the message id %q, want %q", have, id)
	}
	text := fmt.Sprintf("ack %d.%d %s %s", a.Epoch, a.Seq, a.Status, a.Why)
	if a.Snapshot != "" {
		text += "snapshot=" + a.Snapshot
	}
	return strings.TrimSpace(text), nil
}
