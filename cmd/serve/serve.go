package serve

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"streamcanary/cmd/embed"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/decisions/pillars"
	"streamcanary/ingest"
	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// stopWithin is how long a stopping service may take for all that it still does.
const stopWithin = 10 * time.Second

// Options say what to serve.
type Options struct {
	Config  *schemas.Config
	Program string
	Log     zerolog.Logger
	// EmbeddedPartitions is the number of partitions of the event topics on the embedded broker; 0: 4.
	EmbeddedPartitions int32
	// BrokerPort and NATSPort are those of the embedded servers; 0: any free one.
	BrokerPort, NATSPort int
	// DryRun: sinks are told nothing, and change nothing; the log says what they would be told.
	DryRun bool
	// Ready is called once, when everything runs. Watch is called about every second with where the rollouts stand, and Decided
	// with every decision. They must not block. Any may be nil.
	Ready   func(Addresses)
	Watch   func([]Standing)
	Decided func(schemas.Decision)

	pace  pace
	wires wires
}

// wires are for tests in virtual time, over a network inside the process: what is nil is as usual.
type wires struct {
	http  net.Listener
	kafka func(ctx context.Context, network, address string) (net.Conn, error)
	nats  func(*bus.Options)
	// instance names the process where several run in one.
	instance string
	// Of registries and sinks: how they connect; of sinks what their pauses vary by.
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	jitter func() float64
}

// pace is for tests in a hurry, or that leave nothing to chance: what is 0 is as usual.
type pace struct {
	topics   time.Duration // topicsEvery
	append   time.Duration // kafka.AppendWithin
	recovery time.Duration // recoveryEvery
	journal  int32         // journalPartitions
	fetch    time.Duration // kafka.Connection.FetchWait
}

// Addresses are where the parts of a running service are.
type Addresses struct {
	Kafka     []string `json:"kafka"`
	NATS      []string `json:"nats"`
	HTTP      string   `json:"http"`
	KeyID     string   `json:"key_id"`
	PublicKey string   `json:"public_key"`
	Trust     string   `json:"trust"` // the file that subscribers trust
	Embedded  []string `json:"embedded,omitempty"`
	Token     string   `json:"-"` // of whoever asks the service, with "Bearer " before it; it is never written down
}

// AddressFile is the name of the file, in the data folder, in which a running service leaves its Addresses.
const AddressFile = "addresses.json"

// service is one call of Run.
type service struct {
	Options
	servers *embed.Servers
	client  *kafka.Client
	bus     *bus.Bus
	seen    *metrics
	board   *board
	crash   *drill
	key     *schemas.SigningKey
	trust   schemas.Trust // its own key, and those before it
	// strangers are what stands in the decision log and isn't ours.
	strangers *strangers
	roster    *roster
	address   Addresses
	closing   atomic.Bool

	registries pillars.Registries
}

// Run serves until the context ends or something fails for good. It then stops within stopWithin.
func Run(ctx context.Context, o Options) error {
	s := &service{Options: o, seen: newMetrics(o.Program), board: &board{watch: o.Watch}, crash: newDrill(os.Getenv(CrashVariable)), roster: newRoster()}
	s.strangers = newStrangers(s.Log, s.seen)
	s.board.catching.Store(true)
	s.board.away = s.seen.away.err
	l, err := o.wires.http, error(nil)
	if l == nil {
		l, err = listen(o.Config.HTTP.Listen)
	}
	if err != nil {
		return err
	}
	defer l.Close()
	s.address.HTTP = l.Addr().String()
	if err := os.MkdirAll(o.Config.Data, 0o755); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	if err := s.connect(ctx); err != nil {
		return errors.Join(err, s.close())
	}
	return errors.Join(s.work(ctx, l), s.close())
}

// connect starts the embedded servers where none are configured, and reaches all.
func (s *service) connect(ctx context.Context) error {
	if err := s.embedded(); err != nil {
		return err
	}
	var err error
	if s.registries, err = registriesOf(&s.Config.Registries, s.wires.dial); err != nil {
		return err
	}
	if s.key, err = signingKey(s.Config); err != nil {
		return err
	}
	if s.address.Trust, s.trust, err = writeTrust(s.Config, s.key); err != nil {
		return err
	}
	if ids := s.trust.IDs(); len(ids) > 1 {
		s.Log.Info().Strs("keys", ids).Str("file", s.address.Trust).Msg("decisions of earlier keys count, too: take the line of one away that is no longer to be trusted")
	}
	connection, err := KafkaConnection(&s.Config.Kafka, s.address.Kafka)
	if err != nil {
		return err
	}
	connection.Dial, connection.FetchWait = s.wires.kafka, s.pace.fetch
	if s.client, err = kafka.Connect(ctx, connection); err != nil {
		return err
	}
	tls, err := NATSTLS(s.Config.NATS.TLS)
	if err != nil {
		return err
	}
	o := bus.Options{
		URLs: s.address.NATS, Name: s.Program, CredsFile: s.Config.NATS.Creds, TLS: tls, Key: s.key, Trust: s.trust, DryRun: s.DryRun, OnForeign: s.strangers.hear,
		After: func(effect string) { s.crash.pass(Point("after-" + effect)) },
		OnState: func(connected bool, cause error) {
			switch {
			case s.closing.Load():
			case connected:
				s.Log.Info().Msg("NATS is connected again: decisions go on")
			default:
				s.Log.Warn().AnErr("cause", cause).Strs("nats", s.address.NATS).Msg("NATS is not connected: decisions wait; trying to connect again")
			}
		},
		OnError: func(err error) {
			if !s.closing.Load() {
				s.Log.Warn().Err(err).Strs("nats", s.address.NATS).Msg("NATS reports an error on the connection; where it is a permission, serve's user lacks it")
			}
		},
	}
	if s.wires.nats != nil {
		s.wires.nats(&o)
	}
	if s.bus, err = bus.Connect(ctx, o); err != nil {
		return err
	}
	return s.bus.Ensure(ctx)
}

// embedded starts the servers that nobody configured.
func (s *service) embedded() error {
	s.address.Kafka, s.address.NATS = s.Config.Kafka.Brokers, s.Config.NATS.URLs
	o := embed.Options{
		Dir: s.Config.Data, Broker: len(s.address.Kafka) == 0, NATS: len(s.address.NATS) == 0,
		BrokerPort: s.BrokerPort, NATSPort: s.NATSPort, Told: s.stored, Refused: s.refused,
	}
	if !o.Broker && !o.NATS {
		return nil
	}
	s.samePorts(&o)
	partitions := s.EmbeddedPartitions
	if partitions == 0 {
		partitions = 4
	}
	for _, source := range s.Config.Sources {
		o.Topics = append(o.Topics, embed.Topic{Name: source.Topic, Partitions: partitions})
	}
	servers, err := embed.Start(o)
	if err != nil {
		return err
	}
	s.servers = servers
	if o.Broker {
		s.address.Kafka, s.address.Embedded = servers.Brokers(), append(s.address.Embedded, "kafka")
	}
	if o.NATS {
		s.address.NATS, s.address.Embedded = []string{servers.NATSURL()}, append(s.address.Embedded, "nats")
	}
	return nil
}

// stored says in the log that an embedded server stores nothing (err says why), or does again (nil).
func (s *service) stored(err error) {
	if err != nil {
		s.Log.Error().Err(err).Msg("nothing is stored: decisions wait until the folder can be written to: make room on its disk")
		return
	}
	s.Log.Info().Msg("embedded NATS was started again: decisions go on")
}

// refused says in the log that the embedded broker can't store what it was given (err says why), or can again (nil): meanwhile its producers get an
// error, and our own journal tries again.
func (s *service) refused(err error) {
	if err != nil {
		s.Log.Error().Err(err).Msg("events are refused, and windows wait, until the folder can be written to: make room on its disk")
		return
	}
	s.Log.Info().Msg("embedded Kafka can write again: events are taken")
}

// samePorts lets embedded servers that were given no port use those of the run before, where they are free: producers and routers know them.
func (s *service) samePorts(o *embed.Options) {
	text, err := os.ReadFile(filepath.Join(s.Config.Data, AddressFile))
	var before Addresses
	if err != nil || json.Unmarshal(text, &before) != nil {
		return
	}
	if o.BrokerPort == 0 && slices.Contains(before.Embedded, "kafka") && len(before.Kafka) > 0 {
		o.BrokerPort = freePort(before.Kafka[0])
	}
	if o.NATSPort == 0 && slices.Contains(before.Embedded, "nats") && len(before.NATS) > 0 {
		o.NATSPort = freePort(strings.TrimPrefix(before.NATS[0], "nats://"))
	}
}

// freePort is an address's port if nothing listens on it now, else 0.
func freePort(address string) int {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return 0
	}
	defer l.Close()
	port, err := strconv.Atoi(address[strings.LastIndexByte(address, ':')+1:])
	if err != nil {
		return 0
	}
	return port
}

// journalConfig are the settings of the window journal where we make it: thirty days, which is twice the longest rollout and more.
var journalConfig = map[string]string{"cleanup.policy": "delete", "retention.ms": fmt.Sprint((30 * 24 * time.Hour).Milliseconds())}

// journalPartitions is how many partitions the journal gets where we make it.
const journalPartitions = 8

// work runs both stages until one ends.
func (s *service) work(ctx context.Context, l net.Listener) error {
	if err := s.client.EnsureTopic(ctx, JournalTopic, cmp.Or(s.pace.journal, journalPartitions), journalConfig); err != nil {
		return err
	}
	if err := s.client.EnsureTopic(ctx, DeadLetterTopic, 1, nil); err != nil {
		return err
	}
	retention, err := s.client.Retention(ctx, JournalTopic)
	if err != nil {
		return err
	}
	from, err := sourcePartitions(ctx, s.client, s.Config)
	if err != nil {
		return err
	}
	watching, counting, judging := s.parts(from, retention)
	if judging.people, err = peopleOf(&s.Config.HTTP); err != nil {
		return err
	}
	judging.registries = s.registries
	sinks, err := s.openSinks(ctx)
	if err != nil {
		return err
	}
	http := newEndpoints(l, s.seen, s.board)
	http.record = func(ctx context.Context, rollout string) (decisions.Head, error) {
		head, _, err := s.bus.LoadHead(ctx, rollout)
		return head, err
	}
	http.ask, http.knock, http.tell, http.people = judging.ask, judging.knock, judging.hearAlerts, judging.people
	http.bus, http.log = s.bus, s.Log
	if s.servers != nil {
		http.servers = s.servers
	}
	g := newGroup(ctx)
	g.start("HTTP", func(context.Context) error { return http.serve(l) })
	s.listen(g, judging, sinks)
	g.start("heartbeat", s.heartbeat)
	g.start("topics", watching.run)
	g.start("counting", counting.run)
	g.start("judging", func(ctx context.Context) error { return judging.run(ctx, func() { s.ready(http) }) })
	<-g.ctx.Done()
	http.ready.Store(false)
	s.Log.Info().Msg("stopping")
	stop, cancel := context.WithTimeout(context.Background(), stopWithin/4)
	defer cancel()
	_ = http.server.Shutdown(stop)
	return g.wait()
}

// listen starts what hears NATS: rollout files, acks, commands, what strangers write, and sinks.
func (s *service) listen(g *group, judging *court, sinks []*sink) {
	g.start("specs", func(ctx context.Context) error {
		return s.bus.KeepSpecs(ctx, func(spec bus.Spec) {
			select {
			case judging.specs <- spec:
			case <-ctx.Done():
			}
		}, judging.recordsAway)
	})
	g.start("acks", func(ctx context.Context) error {
		select {
		case <-judging.opened:
		case <-ctx.Done():
			return nil
		}
		return s.bus.Acks(ctx, func(m bus.AckMessage) error { return judging.ack(ctx, m) }, func(err error) {
			s.Log.Warn().Err(err).Msg("passing over an ack that can't be read: its router counts as not having answered; `streamcanary schema ack` says how acks look")
		})
	})
	g.start("commands", func(ctx context.Context) error {
		return s.bus.Commands(ctx, func(r bus.Request) { judging.ask(ctx, r) })
	})
	g.start("decision log", func(ctx context.Context) error {
		s.bus.WatchLog(ctx, judging.becomes)
		return nil
	})
	g.start("strangers", func(ctx context.Context) error {
		s.bus.WatchStrangers(ctx)
		return nil
	})
	g.start("routes", func(ctx context.Context) error {
		select {
		case <-judging.opened:
			s.bus.WatchRoutes(ctx, bus.RouteWatch{Models: s.board.models, Mended: s.strangers.mended})
		case <-ctx.Done():
		}
		return nil
	})
	for _, k := range sinks {
		g.start("sink "+k.Name, k.run)
	}
}

// parts makes what the service works with, from the partitions that there are and the journal's retention.
func (s *service) parts(from []ingest.Partition, retention time.Duration) (*topics, *counter, *court) {
	orders, grown := make(chan order, 64), make(chan *kafka.Grown, 1)
	journal := s.client.Log(JournalTopic, s.pace.append)
	watching := &topics{client: s.client, from: from, every: cmp.Or(s.pace.topics, topicsEvery), log: s.Log, seen: s.seen, grown: grown}
	counting := &counter{
		config: s.Config, client: s.client, journal: journal, refused: s.client.Log(DeadLetterTopic, s.pace.append), log: s.Log, crash: s.crash,
		seen: s.seen, recoveryEvery: cmp.Or(s.pace.recovery, s.crash.recoveryEvery()), sources: partitionCounts(from), orders: orders, plans: map[string]windows.Plan{}, failed: make(chan error, 1),
	}
	judging := &court{
		config: s.Config, bus: s.bus, journal: journal, log: s.Log, crash: s.crash, seen: s.seen, counter: orders, grown: grown,
		sources: partitionsOf(s.Config, from), board: s.board, specs: make(chan bus.Spec, 64), commands: make(chan bus.Request, 64), knocking: make(chan knocked, mostKnocking), told: make(chan alertMessage), rumours: rumours{}, truncations: truncations{}, asking: map[request]*asked{}, handIns: map[string]handIn{}, decided: s.Decided,
		program: s.Program, instance: s.instance(), retention: retention, dry: s.DryRun, desks: map[string]*desk{}, pending: map[string]handed{}, opened: make(chan struct{}),
		inspections: map[string]*inspection{}, inspected: make(chan inspection), watches: map[string]bool{}, watched: make(chan watchedPillars), strangers: s.strangers, trespasses: newTrespasses(), losses: newLosses(), forgotten: map[string]*forgotten{}, unrecorded: map[string]*schemas.Decision{}, had: map[string]int64{}, standbys: newStandbys(), rivals: map[string]rival{}, roster: s.roster, trustFile: s.address.Trust,
	}
	return watching, counting, judging
}

// ready tells everybody that the service runs.
func (s *service) ready(http *endpoints) {
	http.ready.Store(true)
	s.address.KeyID, s.address.PublicKey = s.key.ID(), s.key.TrustLine()
	text, err := json.MarshalIndent(s.address, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(s.Config.Data, AddressFile), append(text, '\n'), 0o644)
	}
	if err != nil {
		s.Log.Warn().Err(err).Msg("addresses are not written: other commands need --config, or their own flags")
	}
	if s.Ready != nil {
		s.Ready(s.address)
	}
}

// heartbeatEvery is how often subscribers hear that the judge is alive: that it decides, and its decisions get through.
const heartbeatEvery = 5 * time.Second

func (s *service) heartbeat(ctx context.Context) error {
	tick := time.NewTicker(heartbeatEvery)
	defer tick.Stop()
	var unheard nag
	for {
		if s.seen.deciding.err() == nil { // a judge whose decisions don't get through is as good as dead
			if err := s.beat(ctx); err == nil {
				unheard.over()
			} else if ctx.Err() == nil && unheard.due(err) {
				s.Log.Warn().Err(err).Msg("a heartbeat is not stored: subscribers take the judge for dead after three; look at NATS (its connection, permissions, limits, disk)")
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *service) beat(ctx context.Context) error {
	beat := &schemas.Heartbeat{Instance: s.instance(), Program: s.Program,
		At: schemas.Time(time.Now().UnixMilli()), EveryMs: heartbeatEvery.Milliseconds()}
	for _, x := range s.board.Standings() {
		if x.Lost != "" {
			continue
		}
		beat.Rollouts = append(beat.Rollouts, schemas.RolloutBeat{Rollout: x.Rollout, Model: x.Model, Epoch: x.Epoch, Seq: x.Seq})
	}
	return s.bus.Heartbeat(ctx, beat)
}

// instance names this process.
func (s *service) instance() string {
	if s.wires.instance != "" {
		return s.wires.instance
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}

func (s *service) close() error {
	s.closing.Store(true)
	if s.bus != nil {
		s.bus.Close()
	}
	if s.client != nil {
		s.client.Close()
	}
	if s.servers != nil {
		return s.servers.Close()
	}
	return nil
}

// KafkaConnection is how to reach brokers with a configuration's TLS and SASL settings; it reads the files that those name.
func KafkaConnection(k *schemas.Kafka, brokers []string) (kafka.Connection, error) {
	c := kafka.Connection{Brokers: brokers}
	if t := k.TLS; t != nil {
		c.TLS = &kafka.TLS{CAFile: t.CAFile, CertFile: t.CertFile, KeyFile: t.KeyFile, ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify}
	}
	if k.SASL != nil {
		password, err := os.ReadFile(k.SASL.PasswordFile)
		if err != nil {
			return c, fmt.Errorf("read kafka.sasl.passwordFile: %w", err)
		}
		c.SASL = &kafka.SASL{Mechanism: k.SASL.Mechanism, User: k.SASL.User, Password: strings.TrimRight(string(password), "\r\n")}
	}
	return c, nil
}

// NATSTLS reads the files that the configuration names; nil stays nil.
func NATSTLS(t *schemas.TLS) (*tls.Config, error) { return tlsOf("nats.tls", t) }

func tlsOf(key string, t *schemas.TLS) (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read %s.caFile: %w", key, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read %s.caFile: %s holds no certificate", key, t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read %s.certFile and keyFile: %w", key, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
