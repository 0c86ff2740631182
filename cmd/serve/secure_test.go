package serve

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"

	"streamcanary/schemas"
)

// certificate makes a certificate that signs itself and is everything: authority, server and client. It lies in DIR/cert.pem and DIR/key.pem.
func certificate(t *testing.T, dir string) (pair tls.Certificate, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM, keyPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	put(t, dir, "cert.pem", string(certPEM))
	put(t, dir, "key.pem", string(keyPEM))
	if pair, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return pair, pool
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// secured starts a Kafka that wants TLS and a password, and a NATS that wants a client's certificate, and returns the configuration of a service that has
// all of it. The certificate, the key and the password lie in dir.
func secured(t *testing.T, dir, address string) string {
	t.Helper()
	pair, pool := certificate(t, dir)
	put(t, dir, "password", "secret\n") // as editors and `echo` leave it
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "predictions"), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}}),
		kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "u", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	nats, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true, TLS: true,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}, TLSTimeout: 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	nats.Start()
	t.Cleanup(func() { nats.Shutdown(); nats.WaitForShutdown() })
	if !nats.ReadyForConnections(patience) {
		t.Fatal("NATS is not ready")
	}
	return strings.NewReplacer("DIR", dir, "KAFKA", cluster.ListenAddrs()[0], "NATS", nats.Addr().String(), "HTTP", address).Replace(`kind: Config
data: DIR/data
kafka:
  brokers: [KAFKA]
  tls: {caFile: DIR/cert.pem}
  sasl: {mechanism: SCRAM-SHA-512, user: u, passwordFile: DIR/password}
nats:
  urls: ["tls://NATS"]
  tls: {caFile: DIR/cert.pem, certFile: DIR/cert.pem, keyFile: DIR/key.pem}
sources:
  - {topic: predictions, type: prediction}
http: {listen: "HTTP"}
`)
}

// runSecured runs a service on a configuration until it is ready, then stops it, and returns what it failed with.
func runSecured(t *testing.T, text, address string) error {
	t.Helper()
	config, err := schemas.ParseConfig("config.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, Options{Config: config, Program: "streamcanary test", Log: zerolog.Nop()}) }()
	for {
		select {
		case err := <-ended:
			return err
		case <-time.After(20 * time.Millisecond):
		}
		if response, err := http.Get(fmt.Sprintf("http://%s/readyz", address)); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				stop()
			}
		}
	}
}

// TestSecured: what the configuration says of TLS and passwords reaches Kafka and NATS, and what is wrong with it is said in one line.
func TestSecured(t *testing.T) {
	dir, address := t.TempDir(), freeAddress(t)
	good := secured(t, dir, address)
	if err := runSecured(t, good, address); err != nil {
		t.Fatalf("serve: %v", err)
	}
	put(t, dir, "wrong", "sesame")
	put(t, dir, "empty.pem", "")
	for _, row := range []struct{ name, old, new, want string }{
		{"another password", "DIR/password", "DIR/wrong", "authentication or TLS?"},
		{"no password file", "DIR/password", "DIR/absent", "read kafka.sasl.passwordFile: open "},
		{"no TLS to Kafka", "  tls: {caFile: DIR/cert.pem}\n", "", "authentication or TLS?"},
		{"no certificate of ours for NATS", ", certFile: DIR/cert.pem, keyFile: DIR/key.pem", "", "connect to NATS at tls://"},
		{"NATS signed by others", "caFile: DIR/cert.pem, ", "", "certificate signed by unknown authority"},
		{"no certificates in the file", "caFile: DIR/cert.pem, ", "caFile: DIR/empty.pem, ", "read nats.tls.caFile: " + dir + "/empty.pem holds no certificate"},
	} {
		t.Run(row.name, func(t *testing.T) {
			at := strings.NewReplacer("DIR", dir)
			text := strings.Replace(good, at.Replace(row.old), at.Replace(row.new), 1)
			if text == good {
				t.Fatal("the row changes nothing")
			}
			err := runSecured(t, text, address)
			if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want one line with %q", err, row.want)
			}
		})
	}
}
