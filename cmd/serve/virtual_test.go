package serve

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/decisions/subscribe"
	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
)

var update = flag.Bool("update", false, "write golden files anew")

// A village is a whole fleet in virtual time: the service with a Kafka and a NATS inside the process, a model whose traffic a router splits, and whoever else a story
// needs. What becomes of a story is its timeline: all that was decided, told and answered, each with the second after the rollout was applied.
type village struct {
	*testing.T
	dir     string
	network *kfake.VirtualNetwork
	cluster *kfake.Cluster
	server  atomic.Pointer[server.Server]
	kafka   *kafka.Client
	bus     *bus.Bus
	began   time.Time
	stops   []func()
	asked   int    // commands
	more    string // of the configuration
	outside *outside
	leftOut int // alerts that Alertmanager leaves out of its messages
	// reconnects says that its NATS has stopped once.
	reconnects bool
	// stopService stops the service that runs now.
	stopService func()
	stopRouter  func()           // likewise of router-a
	lines       map[string]*line // of services, by their data folders
	log         logbook          // what services log, but for what only helps to find faults

	share    atomic.Int64 // the canary's, in basis points
	copies   atomic.Int64 // of requests to the canary, whose answers nobody sees, in basis points
	broken   atomic.Int64 // of the canary's requests, what it never answers, in basis points
	errors   atomic.Int64 // of the canary's answers, in basis points
	all      atomic.Int64 // of the baseline's
	third    atomic.Int64 // the share of another version, v3, that only errs, in basis points
	deaf     atomic.Bool  // the router obeys nobody
	idle     atomic.Bool  // the router says that it obeys, and moves nothing
	slow     atomic.Int64 // ms that the canary's answers take longer
	late     atomic.Int64 // ms by which all answers take longer, and come later: a multiple of requestsEvery
	lower    atomic.Int64 // hundredths by which the canary's scores are too low; 0: there are no scores
	larder   atomic.Pointer[larder]
	renamed  atomic.Pointer[strings.Replacer] // of versions, in events
	requests atomic.Int64                     // a second; 0: none come
	others   atomic.Int64                     // a second, that another model answers
	dry      bool                             // the service that is started next is a dry run
}

// story tells a story in virtual time, and holds its timeline against a golden file.
func story(t *testing.T, name, rollout string, tell func(v *village)) {
	t.Helper()
	storyWith(t, name, rollout, "", tell)
}

// storyWith has more in the configuration, in which DIR is the village's folder.
func storyWith(t *testing.T, name, rollout, more string, tell func(v *village)) {
	t.Helper()
	inVillage(t, rollout, more, func(v *village) {
		tell(v)
		v.golden(name)
		v.honest()
	})
}

// inVillage lets a village live with a rollout, beside others: it has all that it needs for itself.
func inVillage(t *testing.T, rollout, more string, tell func(v *village)) {
	t.Helper()
	amongOthers(t)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		v := &village{T: t, dir: dir, more: strings.ReplaceAll(more, "DIR", dir)}
		v.requests.Store(200)
		defer v.end()
		v.found()
		if more != "" {
			v.surround()
		}
		v.stopService = v.service()
		v.began = time.Now()
		v.model()
		v.stopRouter = v.follow("router-a", v.obey)
		synctest.Wait() // the router listens: where a prepare and its commit come at one instant, it could see only the last
		v.apply("story", rollout)
		tell(v)
	})
}

// among are the tests that run beside others.
var among sync.Map

// amongOthers lets a test run beside others; it may be said again.
func amongOthers(t *testing.T) {
	if _, said := among.LoadOrStore(t, true); !said {
		t.Parallel()
	}
}

const villageConfig = `apiVersion: streamcanary.dev/v1
kind: Config
data: %s
kafka: {brokers: ["%s"]}
sources: [{topic: predictions, type: prediction}]
time: {idleAfter: 10m}
nats: {urls: ["nats://village:4222"]}
registries: {mlflow: {url: "http://` + mlflowAddress + `"}}
`

// mlflowAddress is where the village's MLflow is, if it has one.
const mlflowAddress = "127.0.0.1:5000"

// found makes Kafka and NATS.
func (v *village) found() {
	v.Helper()
	v.network, v.lines = new(kfake.VirtualNetwork), map[string]*line{}
	var err error
	v.cluster, err = kfake.NewCluster(kfake.ListenFn(v.network.Listen), kfake.Ports(9092), kfake.NumBrokers(1), kfake.SeedTopics(1, "predictions"))
	v.must(err)
	v.startNATS()
	v.bus, err = bus.Connect(v.Context(), bus.Options{Conn: v.conn()})
	v.must(err)
	v.must(v.bus.Ensure(v.Context()))
	v.kafka, err = kafka.Connect(v.Context(), kafka.Connection{Brokers: v.cluster.ListenAddrs(), Dial: v.network.DialContext})
	v.must(err)
}

func (v *village) startNATS() {
	v.Helper()
	s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: filepath.Join(v.dir, "nats"), NoSigs: true, NoLog: true})
	v.must(err)
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		v.Fatal("NATS is not ready")
	}
	v.server.Store(s)
}

// reconnects belongs to the village whose NATS stops before it ends: a client that connects again takes a timer from nats.go's pool, which all have in common, and the runtime lets
// nobody use a timer of another village's time.
var reconnects sync.Mutex

// stopNATS stops it until it is started again, and everybody's connections with it.
func (v *village) stopNATS() {
	if !v.reconnects {
		v.reconnects = true
		reconnects.Lock()
		v.Cleanup(reconnects.Unlock)
		runtime.GC() // twice empties a sync.Pool
		runtime.GC()
	}
	v.endNATS()
}

func (v *village) endNATS() {
	s := v.server.Load()
	s.Shutdown()
	s.WaitForShutdown()
}

// InProcessConn connects to the NATS that runs now.
func (v *village) InProcessConn() (net.Conn, error) { return v.server.Load().InProcessConn() }

func (v *village) must(err error) {
	v.Helper()
	if err != nil {
		v.Fatal(err)
	}
}

func (v *village) conn() *nats.Conn {
	c, err := nats.Connect("", nats.InProcessServer(v), nats.MaxReconnects(-1), nats.ReconnectWait(time.Second), nats.ReconnectJitter(time.Nanosecond, time.Nanosecond))
	v.must(err)
	v.stops = append(v.stops, c.Close)
	return c
}

// end stops all that runs, what came last first.
func (v *village) end() {
	for _, stop := range slices.Backward(v.stops) {
		stop()
	}
	v.kafka.Close()
	v.cluster.Close()
	v.endNATS()
	synctest.Wait()
}

// runs lets something run until the story ends, or it is stopped.
func (v *village) runs(what string, do func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- do(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			v.Errorf("%s: %v", what, err)
		}
	})
	v.stops = append(v.stops, stop)
	return stop
}

// service is `streamcanary serve`.
func (v *village) service() (stop func()) {
	v.Helper()
	return v.serviceAt("data", "127.0.0.1:8088")
}

// betweenRequests is how long after a request's instant, and after what people do (wait), services that come later begin: their clocks' ticks, each a tenth of a second, never
// fall on the instant of either. Else what a person does would be seen at that tick or at the next.
const betweenRequests = 50 * time.Millisecond

// serviceAt has a data folder and an HTTP address.
func (v *village) serviceAt(data, address string) (stop func()) {
	v.Helper()
	if !v.began.IsZero() {
		time.Sleep((requestsEvery + betweenRequests - time.Since(v.began)%requestsEvery) % requestsEvery)
	}
	config, err := schemas.ParseConfig("village", append(fmt.Appendf(nil, villageConfig, filepath.Join(v.dir, data), v.cluster.ListenAddrs()[0]), v.more...))
	v.must(err)
	listener, err := v.network.Listen("tcp", address)
	v.must(err)
	test := &zerolog.FilteredLevelWriter{Writer: zerolog.LevelWriterAdapter{Writer: zerolog.NewTestWriter(v.T)}, Level: zerolog.ErrorLevel}
	log := zerolog.New(zerolog.MultiLevelWriter(test, &v.log)).Level(zerolog.InfoLevel).Hook(zerolog.HookFunc(func(_ *zerolog.Event, _ zerolog.Level, said string) {
		if strings.Contains(said, "this is a mistake in streamcanary") {
			v.Error(said)
		}
	}))
	ready := make(chan struct{})
	l := &line{nats: v.conn(), dial: v.network.DialContext}
	v.lines[data] = l
	w := wires{http: listener, kafka: l.dialContext, nats: func(o *bus.Options) { o.Conn = l.nats }, dial: v.network.DialContext, jitter: func() float64 { return 0 }}
	if data != "data" {
		w.instance = data
	}
	stop = v.runs("serve", func(ctx context.Context) error {
		err := Run(ctx, Options{Config: config, Program: "streamcanary test", Log: log, Ready: func(Addresses) { close(ready) }, DryRun: v.dry, wires: w, pace: oneJournal})
		if l.dead.Load() {
			return nil
		}
		return err
	})
	<-ready
	return stop
}

// oneJournal: of several partitions the client's first request may name only some, and the others wait until it is answered. So a long wait holds up nothing, and
// hours of a story take less.
var oneJournal = pace{journal: 1, fetch: 5 * time.Second}

// restart stops the service and starts it again, a second later, however long the stopping takes.
func (v *village) restart() {
	v.Helper()
	again := time.Now().Add(time.Second)
	v.stopService()
	time.Sleep(time.Until(again))
	v.stopService = v.service()
	v.wait(0)
}

// requestsEvery is how often requests come.
const requestsEvery = 200 * time.Millisecond

// model answers requests, split as the router has it when they come; each answer is an event at once.
func (v *village) model() {
	random := rand.New(rand.NewPCG(3, 4))
	topic := v.kafka.Log("predictions", 0)
	v.runs("model", func(ctx context.Context) error {
		tick := time.NewTicker(requestsEvery)
		defer tick.Stop()
		var coming []kafka.Entry // answers that are on the way, by when they are due
		var due []time.Time
		for n := 0; ; {
			select {
			case <-ctx.Done():
				return nil
			case now := <-tick.C:
				var entries []kafka.Entry
				for range v.others.Load() * int64(requestsEvery) / int64(time.Second) {
					n++
					entries = append(entries, kafka.Entry{Value: fmt.Appendf(nil, `{"id":"other-%d","ts":%d,"model":"other","version":"1","latency_ms":20,"error":false}`, n, now.UnixMilli())})
				}
				for range v.requests.Load() * int64(requestsEvery) / int64(time.Second) {
					n++
					draw := random.Int64N(10_000)
					answer := func(version, more string, errors int64) {
						id, takes := fmt.Sprint(version, "-", n), 20+v.late.Load()
						if version == "v2" {
							takes += v.slow.Load()
						}
						if by := v.lower.Load(); by > 0 {
							more += scored(random, version, by)
						}
						if l := v.larder.Load(); l != nil {
							hit := l.look(random, version, now)
							if more += fmt.Sprintf(`,"cache_hit":%t`, hit); !hit {
								takes += missTakesMs
							}
						}
						called := version
						if r := v.renamed.Load(); r != nil {
							called = r.Replace(version)
						}
						at := now.Add(time.Duration(v.late.Load()) * time.Millisecond)
						due = append(due, at)
						coming = append(coming, kafka.Entry{Key: []byte(id), Value: fmt.Appendf(nil, `{"id":%q,"ts":%d,"model":"ranker","version":%q,"host":"%s-%d","region":%q,"latency_ms":%d,"error":%t%s}`,
							id, at.UnixMilli(), called, version, n%2, [...]string{"eu", "us", "eu"}[n%3], takes, random.Int64N(10_000) < errors, more)})
					}
					switch {
					case draw < v.share.Load()*v.broken.Load()/10_000: // and no event says so
					case draw < v.share.Load():
						answer("v2", "", v.errors.Load())
					case draw < v.share.Load()+v.third.Load():
						answer("v3", "", 10_000)
					default:
						answer("v1", "", v.all.Load())
					}
					if random.Int64N(10_000) < v.copies.Load() {
						answer("v2", `,"shadow":true`, v.errors.Load())
					}
				}
				for len(due) > 0 && !due[0].After(now) {
					entries, coming, due = append(entries, coming[0]), coming[1:], due[1:]
				}
				if _, err := topic.AppendAll(ctx, entries); err != nil && ctx.Err() == nil {
					return err
				}
			}
		}
	})
}

// follow lets a subscriber obey decisions until the story ends, or it is stopped.
func (v *village) follow(consumer string, handle subscribe.Handler) (stop func()) {
	v.Helper()
	text, err := os.ReadFile(filepath.Join(v.dir, "data", "keys", "trust.txt"))
	v.must(err)
	trust, err := schemas.ParseTrust("trust.txt", text)
	v.must(err)
	conn := v.conn()
	return v.runs(consumer, func(ctx context.Context) error {
		return subscribe.Run(ctx, subscribe.Options{Conn: conn, Models: []string{"ranker"}, Consumer: consumer, Instance: "1", Trust: trust}, handle)
	})
}

// applyTakes is how long a router needs to move traffic. It lets no change fall on the instant of a request.
const applyTakes = 230 * time.Millisecond

// storeTakes is how long a store needs to save or restore a snapshot, or to stop writes. It lets no answer fall on the instant at which a window is judged.
const storeTakes = time.Second + 20*time.Millisecond

// obey is the router's handler.
func (v *village) obey(_ context.Context, d subscribe.Delivery) error {
	time.Sleep(applyTakes)
	if v.deaf.Load() {
		return subscribe.Reject(schemas.WhyCapacity)
	}
	for _, r := range d.Decision.Routes {
		if r.Version == "v2" && !v.idle.Load() {
			v.share.Store(int64(r.WeightBP))
			v.copies.Store(int64(r.MirrorBP))
		}
	}
	return nil
}

// apply hands a rollout to the service.
func (v *village) apply(name, rollout string, change ...func(*Application)) {
	v.Helper()
	now := schemas.Time(time.Now().UnixMilli())
	a := Application{ID: fmt.Sprint(name, now), From: now, At: now, File: name + ".yaml", YAML: rollout, Actor: schemas.Actor{Kind: "person", Name: "ada"}}
	for _, c := range change {
		c(&a)
	}
	body, err := a.Encode()
	v.must(err)
	there, err := v.bus.Spec(v.Context(), name)
	if !errors.Is(err, bus.ErrNotFound) {
		v.must(err)
	}
	_, err = v.bus.PutSpec(v.Context(), bus.Spec{Rollout: name, Body: body, Revision: there.Revision})
	v.must(err)
}

// until lets time pass until something is so.
func (v *village) until(what string, is func(s *decisions.State) bool) {
	v.Helper()
	v.untilOf("story", what, is)
}

func (v *village) untilOf(rollout, what string, is func(s *decisions.State) bool) {
	v.Helper()
	v.wait(0)
	for began := time.Now(); ; v.wait(500 * time.Millisecond) { // never on the instant at which a window is judged
		synctest.Wait() // what comes of this instant is there
		head, _, err := v.bus.LoadHead(v.Context(), rollout)
		if err == nil && is(&head.State) {
			return
		}
		if time.Since(began) > 2*time.Hour {
			v.Fatalf("never: %s\n%s", what, v.timeline())
		}
	}
}

// wait lets time pass, and then some, to an instant at which no request comes.
func (v *village) wait(d time.Duration) {
	time.Sleep(d)
	const off = 10 * time.Millisecond
	time.Sleep((requestsEvery + off - time.Since(v.began)%requestsEvery) % requestsEvery)
}

// steady lets time pass to the next multiple of some seconds, and then some: what comes next doesn't depend on which of two polls has seen what came before.
func (v *village) steady(seconds time.Duration) {
	step := seconds * time.Second
	v.wait(step - time.Since(v.began)%step)
}

func (v *village) status(want decisions.Status) {
	v.Helper()
	v.until(string(want), func(s *decisions.State) bool { return s.Status == want })
}

func (v *village) inStage(stage int) {
	v.Helper()
	v.until(fmt.Sprint("stage ", stage), func(s *decisions.State) bool { return s.Stage == stage && s.StageFromMs() > 0 })
}

// completed waits until a rollback is carried out, and a while longer.
func (v *village) completed() {
	v.Helper()
	v.until("the rollback is carried out", func(s *decisions.State) bool { return s.Saga != nil && s.Saga.Done() })
	v.wait(5 * time.Second)
}

// ask sends a command, as the command line does.
func (v *village) ask(do string, override bool) *schemas.CommandReply {
	v.Helper()
	v.asked++
	reply, err := v.bus.Ask(v.Context(), "story", &schemas.Command{ID: fmt.Sprint(v.asked), Do: do, By: "ada", Comment: "the story wants it", Override: override}, "")
	v.must(err)
	return reply
}

// timeline is all that was decided, told and answered.
func (v *village) timeline() string {
	v.Helper()
	js, err := jetstream.New(v.conn())
	v.must(err)
	stream, err := js.Stream(v.Context(), schemas.StreamName)
	v.must(err)
	info, err := stream.Info(v.Context())
	v.must(err)
	var all []string
	for i := uint64(1); i <= info.State.LastSeq; i++ {
		m, err := stream.GetMsg(v.Context(), i)
		v.must(err)
		if text := v.words(m); text != "" {
			all = append(all, fmt.Sprintf("%7.1fs  %s\n", m.Time.Sub(v.began).Seconds(), text))
		}
	}
	return strings.Join(all, "")
}

// words is a message for the timeline; what only says that a decision was received is left out.
func (v *village) words(m *jetstream.RawStreamMsg) string {
	v.Helper()
	switch kind, _, _ := strings.Cut(strings.TrimPrefix(m.Subject, "streamcanary."), "."); kind {
	case "decision":
		d, err := schemas.DecodeDecision(m.Data)
		v.must(err)
		return decided(d)
	case "ack":
		a, err := schemas.DecodeAck(m.Data)
		v.must(err)
		if a.Status == schemas.AckReceived {
			return ""
		}
		return strings.TrimSuffix(fmt.Sprintf("    %s: %s %d.%d, %s", a.Consumer, a.Status, a.Epoch, a.Seq, a.Why+a.Snapshot), ", ")
	case "event":
		n, err := schemas.DecodeNotice(m.Data)
		v.must(err)
		return fmt.Sprintf("! %s: %s", n.Kind, strings.ReplaceAll(n.Sentence, new(service).instance(), "HOST-PID"))
	}
	return ""
}

// decided is a decision on one line, and its sentence on the next.
func decided(d *schemas.Decision) string {
	words := []string{fmt.Sprintf("%d.%d", d.Epoch, d.Seq), strings.ToUpper(string(d.Action))}
	if d.Phase != "" {
		words = append(words, string(d.Phase))
	}
	if d.Actor.Kind != "engine" {
		words = append(words, "by", d.Actor.Name)
	}
	for _, r := range d.Routes {
		words = append(words, fmt.Sprintf("| %s %g %%", r.Version, float64(r.WeightBP)/100))
		if r.MirrorBP > 0 {
			words = append(words, fmt.Sprintf("and copies of %g %%", float64(r.MirrorBP)/100))
		}
	}
	for _, o := range d.State {
		words = append(words, strings.Join(strings.Fields(fmt.Sprintf("| %s %s %s%s", o.Do, o.Store, o.Snapshot, o.Namespace)), " "))
	}
	if c := d.Cache; c != nil {
		words = append(words, "| cache "+c.Activate)
		if c.Retire != "" {
			words = append(words, "not "+c.Retire)
		}
	}
	for _, m := range d.Mute {
		words = append(words, fmt.Sprintf("| mute %s of %s for %s", m.Guardrail, m.Version, time.Duration(m.Until-max(d.IssuedAt, d.EventTime))*time.Millisecond))
	}
	if len(d.Acks) > 0 {
		words = append(words, "| asks "+strings.Join(d.Acks, ", "))
	}
	return strings.Join(words, " ") + "\n            " + d.Reason.Sentence
}

// golden holds the timeline against its file.
func (v *village) golden(name string) {
	v.Helper()
	path := filepath.Join("testdata", "stories", name+".txt")
	got := []byte(v.timeline() + v.outside.told())
	if *update {
		v.must(os.MkdirAll(filepath.Dir(path), 0o755))
		v.must(os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	v.must(err)
	if !bytes.Equal(got, want) {
		v.Errorf("%s differs (go test ./cmd/serve -run Stories -update writes it; read the difference):\n%s", path, got)
	}
}
