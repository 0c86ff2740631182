package schemas

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Config is a configuration of `serve` after parsing: every default filled in. Files are paths as they are
// written; nothing is opened here. ParseConfig makes one; the zero value is not usable.
type Config struct {
	Data    string // folder
	Kafka   Kafka
	Sources []Source // in the file's order, at least one of predictions
	Time    Clocks
	NATS    NATS
	HTTP    HTTP
	// Registries are where the pillars of rollouts look things up.
	Registries Registries
	Limits     Limits
	Sinks      []Sink // ascending Name
}

// Kafka says where events come from. No brokers: the embedded one.
type Kafka struct {
	Brokers []string // host:port
	Group   string   // where lag tools find how far events are counted
	TLS     *TLS     // nil: plain text
	SASL    *SASL    // nil: none
}

// TLS says whom a connection trusts, and what it shows. The zero value trusts the system's certificates.
type TLS struct {
	CAFile, CertFile, KeyFile string // PEM files, or ""
	ServerName                string
	InsecureSkipVerify        bool
}

// SASL says who a Kafka client is.
type SASL struct {
	Mechanism    string // SASLPlain, SASLScramSha256 or SASLScramSha512
	User         string
	PasswordFile string // holds the password and nothing else
}

// A Source is a topic that is read.
type Source struct {
	Topic  string
	Type   Kind   // what it holds
	Format string // json
}

// Clocks says when clocks are believed (DESIGN's rules of time).
type Clocks struct {
	IdleAfter time.Duration // wall time
	MaxAhead  time.Duration
	MaxJump   time.Duration
}

// NATS says where decisions go. No URLs: the embedded server.
type NATS struct {
	URLs       []string
	Creds      string // file, or ""
	TLS        *TLS   // nil: as the URL's scheme says
	SigningKey string // file; "": keys/signing.pem in the data folder
}

// HTTP says where health, readiness and metrics are served.
type HTTP struct {
	Listen     string // host:port
	TokensFile string // who may ask for what; "": see cmd/serve
}

// Registries are services that pillars ask. A nil one is not configured.
type Registries struct {
	MLflow  *Server
	Schemas *Server // a Schema Registry
}

// Limits bounds memory and work.
type Limits struct {
	PendingPredictions int
	EventBytes         int
}

// ParseConfig reads a configuration, as strictly as ParseRollout reads a rollout, and fills in every default. Empty
// data is the configuration of all defaults. The error is a *FileError.
func ParseConfig(name string, data []byte) (*Config, error) {
	found := &problems{file: name}
	if strings.TrimSpace(string(data)) == "" {
		data = []byte("{}")
	}
	root := found.readDocument(data)
	if root == nil {
		return nil, found.err()
	}
	checker{found, &configForm}.check(root, &configForm, "")
	c := readConfig(section{found, root, &configForm, ""})
	if err := found.err(); err != nil {
		return nil, err
	}
	return c, nil
}

func readConfig(root section) *Config {
	clocks, http, limits, registries := root.under("time"), root.under("http"), root.under("limits"), root.under("registries")
	return &Config{
		Data:       root.text("data"),
		Kafka:      readKafka(root.under("kafka")),
		Sources:    readSources(root),
		Time:       Clocks{clocks.duration("idleAfter"), clocks.duration("maxAhead"), clocks.duration("maxJump")},
		NATS:       readNATS(root.under("nats")),
		HTTP:       HTTP{Listen: readAddress(http, "listen", http.text("listen")), TokensFile: http.text("tokensFile")},
		Registries: Registries{readRegistry(registries, "mlflow"), readRegistry(registries, "schemas")},
		Limits:     Limits{int(limits.number("pendingPredictions")), int(limits.number("eventBytes"))},
		Sinks:      readSinks(root),
	}
}

func readKafka(s section) Kafka {
	k := Kafka{Brokers: s.texts("brokers"), Group: s.text("group"), TLS: readTLS(s)}
	for _, b := range k.Brokers {
		readAddress(s, "brokers", b)
	}
	if sasl := s.under("sasl"); s.given("sasl") {
		k.SASL = &SASL{sasl.text("mechanism"), sasl.text("user"), sasl.text("passwordFile")}
	}
	if len(k.Brokers) == 0 && k.SASL != nil {
		s.refuse("sasl", "without brokers the embedded broker is used, which asks nobody who they are: name brokers, or remove the key")
	}
	if len(k.Brokers) == 0 && k.TLS != nil {
		s.refuse("tls", "without brokers the embedded broker is used, in plain text on this machine: name brokers, or remove the key")
	}
	return k
}

func readNATS(s section) NATS {
	n := NATS{URLs: s.texts("urls"), Creds: s.text("creds"), TLS: readTLS(s), SigningKey: s.text("signingKey")}
	for _, url := range n.URLs {
		if err := CheckNATSURL(url); err != nil {
			s.refuse("urls", "%s", err)
		}
	}
	if len(n.URLs) == 0 && n.Creds != "" {
		s.refuse("creds", "without urls the embedded server is used, which asks nobody who they are: name urls, or remove the key")
	}
	if len(n.URLs) == 0 && n.TLS != nil {
		s.refuse("tls", "without urls the embedded server is used, in plain text on this machine: name urls, or remove the key")
	}
	return n
}

// readTLS returns nil where there is no key tls; tls: {} is TLS with all defaults, never plain text.
func readTLS(around section) *TLS {
	if !around.given("tls") {
		return nil
	}
	s := around.under("tls")
	t := &TLS{s.text("caFile"), s.text("certFile"), s.text("keyFile"), s.text("serverName"), s.flag("insecureSkipVerify")}
	if (t.CertFile == "") != (t.KeyFile == "") {
		given, missing := "certFile", "keyFile"
		if t.CertFile == "" {
			given, missing = missing, given
		}
		s.refuse(given, "stands without %s: a certificate and its key go together", missing)
	}
	if t.InsecureSkipVerify && t.CAFile != "" {
		s.refuse("insecureSkipVerify", "true makes caFile useless: remove one of the two")
	}
	return t
}

func readSources(root section) []Source {
	var sources []Source
	for _, s := range root.items("sources") {
		source := Source{Topic: s.text("topic"), Format: s.text("format")}
		for _, kind := range []Kind{KindPrediction, KindOutcome, KindSample} {
			if s.text("type") == kind.String() {
				source.Type = kind
			}
		}
		if strings.Trim(source.Topic, topicLetters) != "" {
			s.refuse("topic", "%q: a Kafka topic has letters, digits and . _ - only", source.Topic)
		}
		if slices.ContainsFunc(sources, func(other Source) bool { return other.Topic == source.Topic }) {
			s.refuse("topic", "%s is read already: name each topic once", source.Topic)
		}
		sources = append(sources, source)
	}
	predictions := slices.ContainsFunc(sources, func(s Source) bool { return s.Type == KindPrediction })
	if !predictions && !root.problems.under("sources") {
		root.refuse("sources", "no topic holds predictions, so nothing could be judged: add one with type: prediction")
	}
	return sources
}

const topicLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

// readAddress refuses what isn't host:port.
func readAddress(s section, key, address string) string {
	if err := CheckAddress(address); err != nil {
		s.refuse(key, "%s", err)
	}
	return address
}

// CheckAddress says why a text is no host:port, or nil.
func CheckAddress(address string) error {
	colon := strings.LastIndexByte(address, ':')
	port, err := strconv.Atoi(address[colon+1:])
	host := address[:max(colon, 0)]
	bracketed := strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]")
	switch {
	case colon < 0, err != nil, port < 0, port > 65535, strings.ContainsAny(address, "/ ,"):
		return fmt.Errorf("%q is no address: write host:port, e.g. 127.0.0.1:9092", address)
	case strings.Contains(host, ":") && !bracketed:
		return fmt.Errorf("%q: write an IPv6 address in brackets, e.g. [::1]:9092", address)
	}
	return nil
}

// Fits says whether a rollout can run under this configuration, as an error that names both settings.
func (c *Config) Fits(r *Rollout) error {
	if c.Time.MaxAhead > 0 && c.Time.MaxAhead >= r.Lateness {
		return fmt.Errorf("rollout %s: lateness %s is not above time.maxAhead %s of the configuration, so that a clock that is ahead could make others late: raise spec.lateness, or lower time.maxAhead",
			r.Name, FormatDuration(r.Lateness), FormatDuration(c.Time.MaxAhead))
	}
	return c.fitSinks(r)
}

// CheckNATSURL says why a text is no address of a NATS server, or nil.
func CheckNATSURL(url string) error {
	scheme, rest, found := strings.Cut(url, "://")
	switch {
	case found && !slices.Contains([]string{"nats", "tls", "ws", "wss"}, scheme):
		return fmt.Errorf("%q: scheme %s is not known: write nats://host:4222 or tls://host:4222", url, scheme)
	case url == "", found && rest == "", strings.ContainsAny(url, " ,"):
		return fmt.Errorf("%q is no address: write each one by itself, e.g. nats://host:4222", url)
	case strings.Contains(rest, "@"):
		return errors.New("the address holds a secret before the @: use creds, a file")
	}
	return nil
}
