package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// An authority signs certificates for a test.
type authority struct {
	*testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newAuthority makes one, and writes its certificate to ca.pem.
func newAuthority(t *testing.T) *authority {
	a := &authority{T: t, dir: t.TempDir()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key = template, a.newKey()
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.Fatal(err)
	}
	return key
}

func (a *authority) write(name, kind string, der []byte) {
	if err := os.WriteFile(filepath.Join(a.dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.Fatal(err)
	}
}

// pair signs a certificate and writes it as NAME.pem and NAME.key.
func (a *authority) pair(name string) tls.Certificate {
	key := a.newKey()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.Fatal(err)
	}
	a.write(name+".pem", "CERTIFICATE", der)
	a.write(name+".key", "PRIVATE KEY", private)
	pair, err := tls.X509KeyPair(
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	if err != nil {
		a.Fatal(err)
	}
	return pair
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// cluster starts a fake on loopback: TLS with Go's own network is simpler to believe than over pipes.
func cluster(t *testing.T, options ...kfake.Opt) string {
	t.Helper()
	c, err := kfake.NewCluster(append(options, kfake.NumBrokers(1), kfake.SeedTopics(1, "l"))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()[0]
}

// works connects, appends and reads back.
func works(t *testing.T, name string, connection Connection) {
	t.Helper()
	c, err := Connect(t.Context(), connection)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	defer c.Close()
	l := c.Log("l", 0)
	if _, err := l.Append(t.Context(), Entry{Value: []byte("v")}); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if got := drain(t, l, nil); len(got) == 0 || !strings.HasSuffix(got[len(got)-1], "=v") {
		t.Errorf("%s: %q", name, got)
	}
}

// fails expects Connect to fail in time with an error that has the words.
func fails(t *testing.T, name string, connection Connection, words ...string) {
	t.Helper()
	began := time.Now()
	c, err := Connect(t.Context(), connection)
	if err == nil {
		c.Close()
		t.Errorf("%s: connected", name)
		return
	}
	if took := time.Since(began); took > ConnectWithin+2*time.Second {
		t.Errorf("%s: took %s", name, took)
	}
	for _, w := range append(words, "connect to kafka at "+connection.addresses()) {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %q lacks %q", name, err, w)
		}
	}
	if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "secret") {
		t.Errorf("%s: %q", name, err)
	}
}

// TestTLS has servers that show certificates, and ask for ours.
func TestTLS(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	server := a.pair("server")
	a.pair("client")
	other.pair("client")
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	plain := []string{cluster(t)}
	oneWay := []string{cluster(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{server}}))}
	mutual := []string{cluster(t, kfake.TLS(&tls.Config{
		Certificates: []tls.Certificate{server}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}))}
	works(t, "plain", Connection{Brokers: plain})
	works(t, "tls", Connection{Brokers: oneWay, TLS: &TLS{CAFile: a.file("ca.pem")}})
	works(t, "tls, server's name", Connection{Brokers: oneWay, TLS: &TLS{CAFile: a.file("ca.pem"), ServerName: "localhost"}})
	works(t, "tls without verification", Connection{Brokers: oneWay, TLS: &TLS{InsecureSkipVerify: true}})
	works(t, "our certificate", Connection{Brokers: mutual, TLS: &TLS{CAFile: a.file("ca.pem"), CertFile: a.file("client.pem"), KeyFile: a.file("client.key")}})
	fails(t, "unknown authority", Connection{Brokers: oneWay, TLS: &TLS{CAFile: other.file("ca.pem")}}, "certificate signed by unknown authority")
	fails(t, "another name", Connection{Brokers: oneWay, TLS: &TLS{CAFile: a.file("ca.pem"), ServerName: "kafka.example"}}, "not kafka.example")
	fails(t, "no certificate of ours", Connection{Brokers: mutual, TLS: &TLS{CAFile: a.file("ca.pem")}}, "certificate required")
	fails(t, "a certificate of others", Connection{Brokers: mutual, TLS: &TLS{CAFile: a.file("ca.pem"), CertFile: other.file("client.pem"), KeyFile: other.file("client.key")}}, "certificate")
	fails(t, "plain to a tls broker", Connection{Brokers: oneWay}, "authentication or TLS?")
}

// TestSASL has each mechanism with the right and with a wrong password.
func TestSASL(t *testing.T) {
	brokers := []string{cluster(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "secret"), kfake.Superuser("SCRAM-SHA-256", "u", "secret"),
		kfake.Superuser("SCRAM-SHA-512", "u", "secret"))}
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		works(t, mechanism, Connection{Brokers: brokers, SASL: &SASL{Mechanism: mechanism, User: "u", Password: "secret"}})
		fails(t, mechanism+" wrong", Connection{Brokers: brokers, SASL: &SASL{Mechanism: mechanism, User: "u", Password: "secret "}}, "authentication")
	}
	fails(t, "none", Connection{Brokers: brokers}, "authentication or TLS?")
}

// TestConnectErrors has what is wrong before any broker is asked, and brokers that aren't there.
func TestConnectErrors(t *testing.T) {
	a := newAuthority(t)
	a.write("empty.pem", "NOTHING", nil)
	for _, row := range []struct {
		c    Connection
		want string
	}{
		{Connection{}, "connect to kafka: no broker is named"},
		{Connection{Brokers: []string{"kafka"}}, `connect to kafka: broker "kafka" is not host:port: address kafka: missing port in address`},
		{Connection{Brokers: []string{"k:1"}, SASL: &SASL{Mechanism: "GSSAPI", User: "u", Password: "p"}}, `kafka sasl: mechanism "GSSAPI" is unknown (known: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512)`},
		{Connection{Brokers: []string{"k:1"}, SASL: &SASL{Mechanism: "PLAIN", User: "u"}}, "kafka sasl: user and password are needed"},
		{Connection{Brokers: []string{"k:1"}, TLS: &TLS{CAFile: a.file("absent")}}, "kafka tls: read authorities: open " + a.file("absent") + ": no such file or directory"},
		{Connection{Brokers: []string{"k:1"}, TLS: &TLS{CAFile: a.file("empty.pem")}}, "kafka tls: " + a.file("empty.pem") + " holds no PEM certificate"},
		{Connection{Brokers: []string{"k:1"}, TLS: &TLS{CertFile: a.file("absent"), KeyFile: a.file("k")}}, "kafka tls: read certificate " + a.file("absent") + " and key " + a.file("k") + ": open " + a.file("absent") + ": no such file or directory"},
	} {
		if _, err := Connect(t.Context(), row.c); err == nil || err.Error() != row.want {
			t.Errorf("got %v, want %s", err, row.want)
		}
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := closed.Addr().String()
	closed.Close()
	fails(t, "nobody listens", Connection{Brokers: []string{address}}, address, "connection refused")
}

// TestConnectSilent has a broker that takes connections and never answers, in virtual time.
func TestConnectSilent(t *testing.T) {
	inBubble(t, nil, func(f *fake) {
		silent := func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() { // takes what is written until the client hangs up
				b := make([]byte, 1024)
				for {
					if _, err := theirs.Read(b); err != nil {
						return
					}
				}
			}()
			return ours, nil
		}
		fails(f.T, "silent", Connection{Brokers: []string{"kafka:9092"}, Dial: silent}, "no answer in time")
		hanging := func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		fails(f.T, "hanging", Connection{Brokers: []string{"kafka:9092"}, Dial: hanging}, "no answer in time")
		fails(f.T, "tls to a plain broker", Connection{Brokers: []string{f.address}, Dial: f.network.DialContext, TLS: &TLS{}}, "authentication or TLS?")
		ctx, cancel := context.WithCancel(f.Context())
		cancel()
		if _, err := Connect(ctx, Connection{Brokers: []string{"kafka:9092"}, Dial: hanging}); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}
