package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// TLS says how brokers prove who they are, and we to them. The zero value trusts the system's authorities.
type TLS struct {
	CAFile     string // PEM: the authorities trusted; "": the system's
	CertFile   string // PEM: our certificate, with KeyFile; "": none
	KeyFile    string
	ServerName string // what the brokers' certificates must name; "": the host dialled
	// InsecureSkipVerify believes every certificate, so that anyone between can read and change the events.
	InsecureSkipVerify bool
}

// SASL is how we authenticate.
type SASL struct {
	Mechanism string // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
	User      string
	Password  string
}

// config reads the files.
func (t *TLS) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("kafka tls: read authorities: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("kafka tls: %s holds no PEM certificate", t.CAFile)
		}
	}
	if t.CertFile == "" && t.KeyFile == "" {
		return c, nil
	}
	pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("kafka tls: read certificate %s and key %s: %w", t.CertFile, t.KeyFile, err)
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

// dialer returns what opens connections.
func (c *Connection) dialer() (func(context.Context, string, string) (net.Conn, error), error) {
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialWithin}).DialContext
	}
	if c.TLS == nil {
		return dial, nil
	}
	config, err := c.TLS.config()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		raw, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		own := config.Clone()
		if own.ServerName == "" {
			own.ServerName, _, _ = net.SplitHostPort(address) // an address without a port was refused before
		}
		secure := tls.Client(raw, own)
		ctx, cancel := context.WithTimeout(ctx, dialWithin)
		defer cancel()
		if err := secure.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, fmt.Errorf("tls with %s: %w", address, err)
		}
		return secure, nil
	}, nil
}

// mechanism returns the client's form of it.
func (s *SASL) mechanism() (sasl.Mechanism, error) {
	if s.User == "" || s.Password == "" {
		return nil, errors.New("kafka sasl: user and password are needed")
	}
	switch s.Mechanism {
	case "PLAIN":
		return plain.Auth{User: s.User, Pass: s.Password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("kafka sasl: mechanism %q is unknown (known: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512)", s.Mechanism)
}

// explain adds what a cause usually means where the cause itself doesn't say it: a broker that refuses a password, or
// speaks TLS when we don't, mostly just hangs up.
func explain(err error) error {
	var first *kgo.ErrFirstReadEOF
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.UnknownServerError):
		return fmt.Errorf("the broker failed, and its log says why (is its disk full?): %w", err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens there (does the broker run, and is its address right?): %w", err)
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return fmt.Errorf("authentication was refused: %w", err)
	case errors.As(err, &first), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, io.ErrClosedPipe), strings.Contains(err.Error(), "first record does not look like a TLS handshake"):
		return fmt.Errorf("the broker closed the connection (authentication or TLS?): %w", err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("no answer in time (is it Kafka? authentication or TLS?): %w", err)
	}
	return err
}
