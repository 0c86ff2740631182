package serve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// sinksOutside are sinks of a configuration that the village's surroundings have.
const sinksOutside = `sinks:
  slack: {secretFile: DIR/slack}
  pagerduty: {url: "http://127.0.0.1:9000", secretFile: DIR/pager}
  hook: {kind: webhook, url: "http://127.0.0.1:9000/hook", secretFile: DIR/hook}
  gateway: {kind: httproute, url: "http://127.0.0.1:9000", tokenFile: DIR/token}
  mlflow: {url: "http://127.0.0.1:9000"}
`

// outside is what is around the village: Slack, PagerDuty, somebody's webhook, a Kubernetes API, MLflow and an Alertmanager, on one server.
type outside struct {
	v       *village
	away    atomic.Bool // nobody answers
	shut    atomic.Bool // MLflow doesn't
	hangs   atomic.Bool // MLflow takes what it is asked, and says nothing
	busy    atomic.Bool // PagerDuty is asked too much
	endless atomic.Bool // PagerDuty ends no incident
	mu      sync.Mutex
	heard   map[string][]string // by system, what it was told
	keys    map[string]int      // idempotency keys, by system
	route   map[string]any
	version int
	aliases map[string]string
	alerts  map[string]amAlert // that Alertmanager has in memory, by their labels
	tags    map[string]string  // of the model
}

const outsideRoute = `{"kind":"HTTPRoute","metadata":{"name":"ranker","resourceVersion":"1"},"spec":{"rules":[{"backendRefs":[{"name":"ranker-v1","weight":100},{"name":"ranker-v2","weight":0}]}]}}`

// surround starts it.
func (v *village) surround() {
	v.Helper()
	for name, text := range map[string]string{
		"slack": "http://127.0.0.1:9000/slack", "pager": "0123456789abcdef0123456789abcdef", "token": "token", "hook": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
	} {
		v.must(os.WriteFile(filepath.Join(v.dir, name), []byte(text), 0o600))
	}
	o := &outside{v: v, heard: map[string][]string{}, keys: map[string]int{}, version: 1, aliases: map[string]string{"champion": "7"}, alerts: map[string]amAlert{}, tags: map[string]string{}}
	v.must(json.Unmarshal([]byte(outsideRoute), &o.route))
	v.outside = o
	l, err := v.network.Listen("tcp", "127.0.0.1:9000")
	v.must(err)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /slack", o.people("slack", "ok", func(m map[string]any) string { return fmt.Sprint(m["text"]) }))
	mux.HandleFunc("POST /v2/enqueue", o.people("pagerduty", `{"status":"success"}`, func(m map[string]any) string {
		payload, _ := m["payload"].(map[string]any)
		return strings.TrimSpace(fmt.Sprint(m["event_action"], " ", m["dedup_key"], " ", orNothing(payload["severity"])))
	}))
	mux.HandleFunc("POST /v2/change/enqueue", o.people("pagerduty", `{"status":"success","message":"Change event processed"}`, func(m map[string]any) string {
		payload, _ := m["payload"].(map[string]any)
		details, _ := payload["custom_details"].(map[string]any)
		summary, _, _ := strings.Cut(fmt.Sprint(payload["summary"]), ": rollout ")
		end, _, _ := strings.Cut(fmt.Sprint(details["over"]), ": ")
		return "change " + summary + ", by " + end
	}))
	mux.HandleFunc("POST /hook", o.people("hook", "", func(m map[string]any) string { return fmt.Sprint(m["type"], " ", m["id"]) }))
	mux.HandleFunc("POST /api/v2/alerts", o.alertmanager)
	mux.HandleFunc("/apis/", o.kubernetes)
	mux.HandleFunc(mlflowAPI, o.mlflow)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.hangs.Load() && strings.HasPrefix(r.URL.Path, mlflowAPI) {
			<-r.Context().Done()
			return
		}
		time.Sleep(takes(r.URL.Path)) // no answer on the instant of a request to the model, nor of another system
		if o.away.Load() || o.shut.Load() && strings.HasPrefix(r.URL.Path, mlflowAPI) {
			http.Error(w, "nobody is here", http.StatusServiceUnavailable)
			return
		}
		if o.busy.Load() && strings.HasPrefix(r.URL.Path, "/v2/") {
			w.Header().Set("Retry-After", "41")
			http.Error(w, "Rate limit reached", http.StatusTooManyRequests)
			return
		}
		if o.endless.Load() && ends(r) {
			http.Error(w, "it can't be resolved", http.StatusInternalServerError)
			return
		}
		mux.ServeHTTP(w, r)
	})}
	go func() { _ = server.Serve(l) }()
	v.stops = append(v.stops, func() { server.Close() })
}

// ends reports whether a request ends an incident of PagerDuty.
func ends(r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return err == nil && r.URL.Path == "/v2/enqueue" && bytes.Contains(body, []byte(`"resolve"`))
}

// mlflowAPI is the path of MLflow's API.
const mlflowAPI = "/api/2.0/mlflow/"

// takes is how long each system needs for an answer.
func takes(path string) time.Duration {
	for i, of := range []string{"/hook", mlflowAPI, "/v2/", "/slack"} {
		if strings.HasPrefix(path, of) {
			return time.Duration(71+i) * time.Millisecond
		}
	}
	return 70 * time.Millisecond
}

// alias lets somebody else move an alias in MLflow.
func (o *outside) alias(name, version string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.aliases[name] = version
}

func orNothing(x any) any {
	if x == nil {
		return ""
	}
	return x
}

// says notes what a system was told.
func (o *outside) says(system, text string) {
	o.heard[system] = append(o.heard[system], fmt.Sprintf("%7.1fs  %s\n", time.Since(o.v.began).Seconds(), text))
}

// told is all that was told, for the golden file.
func (o *outside) told() string {
	if o == nil {
		return ""
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var text strings.Builder
	for _, system := range slices.Sorted(maps.Keys(o.heard)) {
		text.WriteString("\n" + system + "\n" + strings.Join(o.heard[system], ""))
	}
	return text.String()
}

// people takes what people read.
func (o *outside) people(system, answer string, words func(map[string]any) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var m map[string]any
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		text, key := words(m), system+r.Header.Get("Idempotency-Key")
		if o.keys[key]++; o.keys[key] > 1 {
			text += " (again)"
		}
		o.says(system, text)
		fmt.Fprint(w, answer)
	}
}

// kubernetes holds one route.
func (o *outside) kubernetes(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r.Method == http.MethodPut {
		body, _ := io.ReadAll(r.Body)
		o.route = nil
		if err := json.Unmarshal(body, &o.route); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		o.version++
		o.route["metadata"].(map[string]any)["resourceVersion"] = fmt.Sprint(o.version)
		var words []string
		rule := o.route["spec"].(map[string]any)["rules"].([]any)[0].(map[string]any)
		for _, ref := range rule["backendRefs"].([]any) {
			words = append(words, fmt.Sprint(ref.(map[string]any)["name"], " ", ref.(map[string]any)["weight"]))
		}
		o.says("gateway", strings.Join(words, ", "))
	}
	_ = json.NewEncoder(w).Encode(o.route)
}

// mlflow holds the aliases of one model.
func (o *outside) mlflow(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var m struct{ Alias, Version, Key, Value string }
	if r.Method != http.MethodGet {
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	switch r.Method + " " + strings.TrimPrefix(r.URL.Path, mlflowAPI) {
	case "POST registered-models/alias":
		o.aliases[m.Alias] = m.Version
		o.says("mlflow", m.Alias+" is "+m.Version)
	case "DELETE registered-models/alias":
		delete(o.aliases, m.Alias)
		o.says("mlflow", m.Alias+" is taken away")
	case "POST registered-models/set-tag", "POST model-versions/set-tag":
		if m.Version == "" {
			o.tags[m.Key] = m.Value
		}
		o.says("mlflow", strings.TrimSpace(m.Version+" "+m.Key+" = "+m.Value))
	}
	list := []map[string]string{}
	for _, alias := range slices.Sorted(maps.Keys(o.aliases)) {
		list = append(list, map[string]string{"alias": alias, "version": o.aliases[alias]})
	}
	tags := []map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(o.tags)) {
		tags = append(tags, map[string]string{"key": key, "value": o.tags[key]})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"registered_model": map[string]any{"name": "ranker", "aliases": list, "tags": tags}})
}
