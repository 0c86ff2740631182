package actuators

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"streamcanary/schemas"
)

var _ = fits(schemas.SinkHTTPRoute, fixture{
	sink: schemas.Sink{Server: at(address, "f")}, heeds: true,
	use:    schemas.SinkUse{Kind: schemas.SinkHTTPRoute, Sink: "x", Namespace: "feed", Name: "ranker", Baseline: "ranker-41", Canary: "ranker-42"},
	system: func() http.Handler { return &cluster{version: 7, route: routeText} },
})

// routeText is a route as the Kubernetes API shows one; the numbers are ones that a float64 can't hold.
const routeText = `{"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute","metadata":{"name":"ranker","namespace":"feed","generation":9007199254740993,"resourceVersion":"7"},` +
	`"spec":{"hostnames":["ranker.example"],"parentRefs":[{"name":"edge"}],"rules":[` +
	`{"matches":[{"path":{"type":"PathPrefix","value":"/"}}],"backendRefs":[{"group":"","kind":"Service","name":"ranker-41","port":80,"weight":90},{"group":"","kind":"Service","name":"ranker-42","port":80,"weight":10,"filters":[]}]},` +
	`{"matches":[{"path":{"type":"Exact","value":"/try"}}],"backendRefs":[{"name":"ranker-42","port":80}]}]}}`

// crd is the schema that a cluster with the Gateway API holds a route against (testdata/httproute.schema.py).
var crd = sync.OnceValues(func() (*jsonschema.Schema, error) {
	return jsonschema.NewCompiler().Compile("testdata/httproute.schema.json")
})

// fitsCRD holds a route against it.
func fitsCRD(route string) error {
	schema, err := crd()
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(route))
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

// A cluster answers as the Kubernetes API does: a PUT with another resourceVersion than the stored one is a conflict, and one that the Gateway API's schema doesn't take is invalid.
type cluster struct {
	mu      sync.Mutex
	version int
	route   string
	meddle  int  // so many PUTs find that somebody was faster
	keeps   bool // a webhook of the cluster leaves the weights as they are
	puts    []string
}

func (c *cluster) fail(w http.ResponseWriter, status int, reason string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no: %s","reason":%q,"code":%d}`, reason, reason, status)
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.URL.Path != "/apis/gateway.networking.k8s.io/v1/namespaces/feed/httproutes/ranker" {
		c.fail(w, http.StatusNotFound, "NotFound")
		return
	}
	if r.Method == http.MethodPut {
		text, _ := io.ReadAll(r.Body)
		if c.meddle > 0 {
			c.meddle--
			c.route = strings.Replace(c.route, fmt.Sprintf(`"resourceVersion":"%d"`, c.version), fmt.Sprintf(`"resourceVersion":"%d"`, c.version+1), 1)
			c.version++
		}
		var put struct {
			Metadata struct{ ResourceVersion string }
		}
		switch {
		case json.Unmarshal(text, &put) != nil:
			c.fail(w, http.StatusBadRequest, "BadRequest")
			return
		case fitsCRD(string(text)) != nil:
			c.fail(w, http.StatusUnprocessableEntity, "Invalid")
			return
		case put.Metadata.ResourceVersion != fmt.Sprint(c.version):
			c.fail(w, http.StatusConflict, "Conflict")
			return
		}
		c.version++
		c.puts = append(c.puts, string(text))
		if !c.keeps {
			c.route = strings.Replace(string(text), fmt.Sprintf(`"resourceVersion":"%d"`, c.version-1), fmt.Sprintf(`"resourceVersion":"%d"`, c.version), 1)
		}
	}
	fmt.Fprint(w, c.route)
}

func onCluster(t *testing.T, c *cluster, play func(w *world)) {
	t.Helper()
	within(t, schemas.SinkHTTPRoute, func(_ int, w http.ResponseWriter, r *http.Request) bool {
		c.ServeHTTP(w, r)
		return true
	}, play)
}

// TestHTTPRoute: only the two weights change, both backends stay, and what is right already isn't put again.
func TestHTTPRoute(t *testing.T) {
	tests := []struct {
		baseline, canary int
		weights          string
	}{{10000, 0, "100 0"}, {9950, 50, "9950 50"}, {5000, 5000, "50 50"}, {0, 10000, "0 100"}, {9000, 1000, ""}}
	for _, x := range tests {
		c := &cluster{version: 7, route: routeText}
		onCluster(t, c, func(w *world) {
			d := rollback()
			d.Routes = []schemas.Route{{Version: "41", WeightBP: x.baseline}, {Version: "42", WeightBP: x.canary}}
			for range 2 {
				if err := w.sink.Act(w.Context(), eventOf(w.kind, d)); err != nil {
					w.Fatal(err)
				}
			}
			if x.weights == "" {
				if len(c.puts) > 0 {
					w.Errorf("put %s", c.puts[0])
				}
				return
			}
			var a, b int
			_, _ = fmt.Sscan(x.weights, &a, &b)
			want := strings.Replace(routeText, `"weight":90`, fmt.Sprint(`"weight":`, a), 1)
			want = strings.Replace(want, `"weight":10,`, fmt.Sprintf(`"weight":%d,`, b), 1)
			want = strings.Replace(want, `"metadata":{`, `"metadata":{"annotations":{"streamcanary.dev/decision":"`+anID+`"},`, 1)
			if len(c.puts) != 1 || canonical(w, c.puts[0]) != canonical(w, want) {
				w.Errorf("put  %s\nwant %s", c.puts, want)
			}
		})
	}
}

// canonical is JSON with its keys in order and its numbers as they are.
func canonical(w *world, text string) string {
	w.Helper()
	var v any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		w.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		w.Fatal(err)
	}
	return string(out)
}

// TestRouteFitsCRD: the schema takes what is put, whatever else a route has, and wouldn't take a slip.
func TestRouteFitsCRD(t *testing.T) {
	whole := strings.Replace(routeText, `"matches":[{"path":{"type":"Exact","value":"/try"}}]`, `"name":"try","timeouts":{"request":"10s"},"matches":[{"method":"GET","headers":[{"name":"x","value":"y"}]}],`+
		`"filters":[{"type":"RequestMirror","requestMirror":{"backendRef":{"name":"ranker-42","port":80},"percent":10}}]`, 1)
	whole = strings.TrimSuffix(whole, "}") + `,"status":{"parents":[{"controllerName":"example.com/edge","parentRef":{"name":"edge"},"conditions":[` +
		`{"type":"Accepted","status":"True","reason":"Accepted","message":"","lastTransitionTime":"2026-01-05T10:00:00Z","observedGeneration":9007199254740993}]}]}}`
	c := &cluster{version: 7, route: whole}
	onCluster(t, c, func(w *world) {
		if err := w.act(); err != nil || len(c.puts) != 1 || fitsCRD(c.route) != nil {
			w.Errorf("got %v after %d puts: %v", err, len(c.puts), fitsCRD(c.route))
		}
	})
	for _, slip := range []struct{ was, is string }{
		{`"weight":10`, `"weight":"10"`}, {`"weight":10`, `"weight":0.5`}, {`"weight":10`, `"weight":1000001`}, {`"weight":10`, `"share":10`}, {`"weight":90`, `"weight":-1`}, {`"name":"ranker-41",`, ""},
	} {
		if text := strings.Replace(whole, slip.was, slip.is, 1); text == whole || fitsCRD(text) == nil {
			t.Errorf("with %s for %s it is taken", slip.is, slip.was)
		}
	}
}

// TestRouteConflicts: a route that others write is written all the same, as soon as there is a gap; what they have changed stays; and that they never stop is a failure in time for who waits for the answer.
func TestRouteConflicts(t *testing.T) {
	for _, x := range []struct {
		meddle int
		within time.Duration // in which the decision is to be answered
		taken  bool
		most   time.Duration
	}{
		{meddle: 1, within: 10 * time.Second, taken: true, most: 0},
		{meddle: rereads - 1, taken: true, most: 70 * time.Millisecond},
		{meddle: 20, within: 10 * time.Second, taken: true, most: 4 * time.Second},
		{meddle: 100, within: 10 * time.Second, most: rereadFor},
		{meddle: 100, within: time.Hour, most: rereadFor},
		{meddle: 100, within: time.Second, most: 500 * time.Millisecond},
		{meddle: 100, within: time.Millisecond, most: 70 * time.Millisecond},
	} {
		c := &cluster{version: 7, route: routeText, meddle: x.meddle}
		onCluster(t, c, func(w *world) {
			e, begun := eventOf(w.kind, rollback()), time.Now()
			rollout := *e.Rollout
			rollout.Acks.Within, e.Rollout = x.within, &rollout
			err := w.sink.Act(w.Context(), e)
			if took := time.Since(begun); took > x.most || (err == nil) != x.taken {
				w.Errorf("%d conflicts, to be answered in %s: got %v after %s", x.meddle, x.within, err, took)
			}
			if x.taken {
				if len(c.puts) != 1 || w.count() != 2*(x.meddle+1) {
					w.Errorf("%d conflicts: %d puts taken, of %d requests", x.meddle, len(c.puts), w.count())
				}
				return
			}
			if f := w.fails(err, "the server answers 409", "Conflict", "metadata.managedFields", "(tried "); f.Refused || f.Attempts < rereads || w.count() != 2*f.Attempts {
				w.Errorf("%+v after %d requests", f, w.count())
			}
		})
	}
	c := &cluster{version: 7, route: routeText, keeps: true}
	onCluster(t, c, func(w *world) {
		_ = w.fails(w.act(), "409") // put once without effect, which is seen, then with an old version
		if len(c.puts) < 1 {
			w.Error("nothing was put")
		}
	})
}

// TestRouteRefused: what a Kubernetes API 1.37 answers is told by its own message.
func TestRouteRefused(t *testing.T) {
	for _, x := range []struct {
		name, body, want string
		status           int
	}{
		{"changed meanwhile", `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Operation cannot be fulfilled on httproutes.gateway.networking.k8s.io \"ranker\": the object has been modified; please apply your changes to the latest version and try again","reason":"Conflict","details":{"name":"ranker","group":"gateway.networking.k8s.io","kind":"httproutes"},"code":409}`,
			`the server answers 409: Operation cannot be fulfilled on httproutes.gateway.networking.k8s.io "ranker": the object has been modified; please apply`, 409},
		{"nobody known", `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}`,
			"the server answers 401: look at the token or secret of this sink, and at what it may do: Unauthorized", 401},
		{"no such kind", "404 page not found\n", "the server answers 404: 404 page not found: the cluster knows no HTTPRoute of gateway.networking.k8s.io/v1: install the Gateway API", 404},
		{"a proxy's page", "<html>404</html>", "the server answers 404: <html>404</html>", 404},
	} {
		within(t, schemas.SinkHTTPRoute, func(_ int, to http.ResponseWriter, _ *http.Request) bool {
			to.WriteHeader(x.status)
			fmt.Fprint(to, x.body)
			return true
		}, func(w *world) {
			if f := w.fails(w.act(), x.want); strings.Contains(f.Error(), "apiVersion") {
				w.Errorf("%s: %s", x.name, f)
			}
		})
	}
}

func TestRoutesThatCantBeWeighed(t *testing.T) {
	and := func(refs string) string { return strings.Replace(routeText, `"filters":[]}`, `"filters":[]},`+refs, 1) }
	tests := []struct{ name, route, want string }{
		{"another kind", strings.Replace(routeText, `"kind":"HTTPRoute"`, `"kind":"List"`, 1), "but not with an HTTPRoute: is that the address of the Kubernetes API?"},
		{"no canary", strings.ReplaceAll(routeText, `"ranker-42"`, `"ranker-43"`), "none of its rules has both backendRefs, ranker-41 and ranker-42: add them, with weights 100 and 0"},
		{"no rules", `{"kind":"HTTPRoute"}`, "none of its rules has both backendRefs"},
		{"a third", strings.Replace(routeText, `"filters":[]}`, `"filters":[]},{"name":"ranker-43","port":80}`, 1), "its rule 1 has a third backendRef, ranker-43, with a weight"},
		{"the canary's name in another namespace", and(`{"name":"ranker-42","namespace":"feed-b","port":80,"weight":5}`),
			"its rule 1 has ranker-42 2 times, and can't be weighed by that name: keep one, or use a name of its own for this backend; there are (kind Service, port 80, weight 10) and (namespace feed-b, port 80, weight 5)"},
		{"a second port of the baseline", and(`{"name":"ranker-41","port":8080,"weight":50}`), "for this backend; there are (kind Service, port 80, weight 90) and (port 8080, weight 50)"},
		{"another kind of the canary's name", and(`{"group":"net.example","kind":"Import","name":"ranker-42"}`), "for this backend; there are (kind Service, port 80, weight 10) and (group net.example, kind Import, weight 1)"},
		{"the same again, without a weight", and(`{"name":"ranker-42","port":80,"weight":0},{"name":"ranker-42","port":80,"weight":0}`), "its rule 1 has ranker-42 3 times"},
	}
	for _, x := range tests {
		c := &cluster{version: 7, route: x.route}
		onCluster(t, c, func(w *world) {
			_ = w.fails(w.act(), x.want)
			if len(c.puts) > 0 {
				w.Errorf("%s: it was put all the same", x.name)
			}
		})
	}
	d := rollback()
	d.Routes = []schemas.Route{{Version: "41", WeightBP: 9000}, {Version: "43", WeightBP: 1000}}
	within(t, schemas.SinkHTTPRoute, nil, func(w *world) {
		_ = w.fails(w.sink.Act(w.Context(), eventOf(w.kind, d)), "version 43 is neither the baseline (41) nor the canary (42) of rollout ranker-42")
		d.Routes = []schemas.Route{{Version: "41", WeightBP: 10000}, {Version: "42", MirrorBP: 100}}
		_ = w.fails(w.sink.Act(w.Context(), eventOf(w.kind, d)), "version 42 is to get copies of requests")
	})
}
