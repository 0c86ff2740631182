package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	bignumber "math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// securedBroker starts a Kafka that wants TLS and a password; its certificate, as an authority's, and the password lie in dir.
func securedBroker(t *testing.T, dir string) (address string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: bignumber.NewInt(1), IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "ca.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, filepath.Join(dir, "password"), "secret\n")
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "predictions", "outcomes", "samples"),
		kfake.TLS(&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}),
		kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "u", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()[0]
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestLoadgenSecured: traffic goes to a Kafka that wants TLS and a password with the configuration that serve has, by its brokers or to others.
func TestLoadgenSecured(t *testing.T) {
	dir := t.TempDir()
	broker := securedBroker(t, dir)
	scenario := filepath.Join(dir, "short.txt")
	write(t, scenario, "model m\nbaseline version v1\ncanary version v2\nfor 200ms\nseed 1\nrate 100/s\nsplit 50%\nlatency lognormal 40ms sigma 0.5\nexpect no-rollback\n")
	config := func(name, broker, password string) string {
		path := filepath.Join(dir, name)
		write(t, path, fmt.Sprintf("kind: Config\nkafka:\n  brokers: [\"%s\"]\n  tls: {caFile: %s/ca.pem}\n  sasl: {mechanism: SCRAM-SHA-512, user: u, passwordFile: %[2]s/%s}\n",
			broker, dir, password))
		return path
	}
	good, other, wrong := config("good.yaml", broker, "password"), config("other.yaml", "127.0.0.1:9", "password"), config("wrong.yaml", broker, "absent")
	for _, row := range []struct {
		name, want string // "": events are sent
		args       []string
	}{
		{"the configuration's brokers", "", []string{"--to", "kafka://", "--config", good}},
		{"other brokers", "", []string{"--to", "kafka://" + broker, "--config", other}},
		{"no configuration", "connect to kafka at " + broker + ": ", []string{"--to", "kafka://" + broker}},
		{"no password file", "read kafka.sasl.passwordFile: open ", []string{"--to", "kafka://", "--config", wrong}},
		{"no brokers", `--to "kafka://": it is kafka://HOST:PORT, or --config names a file with kafka.brokers`, []string{"--to", "kafka://"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var out, said bytes.Buffer
			cmd := loadgenCommand(&console{out: &out, err: &said})
			cmd.SetArgs(append([]string{"--scenario", scenario}, row.args...))
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			err := cmd.ExecuteContext(t.Context())
			switch {
			case row.want == "" && (err != nil || !strings.Contains(said.String(), "17 events sent")):
				t.Errorf("%v, it says %q", err, said.String())
			case row.want != "" && (err == nil || !strings.HasPrefix(err.Error(), row.want)):
				t.Errorf("error %v, want %s", err, row.want)
			}
		})
	}
}
