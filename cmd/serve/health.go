package serve

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// endpoints serves what an operator and an orchestrator ask for.
type endpoints struct {
	server  *http.Server
	address string
	ready   atomic.Bool // both stages run
	bus     interface{ Connected() bool }
	servers interface{ Err() (broker, nats error) } // nil where none are embedded
	board   *board
	record  func(ctx context.Context, rollout string) (decisions.Head, error)
	seen    *metrics
	ask     func(context.Context, bus.Request)
	knock   func(knocked)
	tell    func(context.Context, *schemas.Alerts) heeded
	people  *people
	log     zerolog.Logger
}

// listen opens the address before anything else is started, so that a port in use is said at once.
func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for HTTP on %s: %w; set http.listen to a free address", address, err)
	}
	return l, nil
}

func newEndpoints(l net.Listener, m *metrics, b *board) *endpoints {
	e := &endpoints{address: l.Addr().String(), board: b, seen: m, record: noRecord}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", e.readyz)
	mux.HandleFunc("GET /v1/rollouts", e.looking(e.known(e.rollouts)))
	mux.HandleFunc("GET /v1/rollouts/{name}", e.looking(e.known(e.rollout)))
	mux.HandleFunc("POST /v1/rollouts/{name}/commands", e.command)
	mux.HandleFunc("POST "+alertsPath, e.alertmanager)
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	e.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10}
	return e
}

// serve answers until Close.
func (e *endpoints) serve(l net.Listener) error {
	if err := e.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP on %s: %w", e.address, err)
	}
	return nil
}

// readyz is 200 when both stages run, decisions get through, and events are counted; else 503, with every reason on a line of its own.
func (e *endpoints) readyz(w http.ResponseWriter, _ *http.Request) {
	if why := e.waits(); len(why) > 0 {
		http.Error(w, strings.Join(why, "\n"), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// waits says what keeps the service from its work now.
func (e *endpoints) waits() []string {
	var why []string
	if !e.ready.Load() {
		why = append(why, "starting, or stopping")
	}
	var broker, nats error
	if e.servers != nil {
		broker, nats = e.servers.Err()
	}
	switch {
	case nats != nil:
		why = append(why, nats.Error()+": decisions wait")
	case !e.bus.Connected():
		why = append(why, "NATS is not connected: decisions wait")
	}
	if bad := e.seen.judging.err(); bad != nil {
		why = append(why, "windows are not judged: "+bad.Error())
	}
	if away := e.seen.away.err(); away != nil {
		why = append(why, away.Error())
	}
	if gone := e.seen.records.err(); gone != nil {
		why = append(why, gone.Error())
	}
	if held := e.seen.deciding.err(); held != nil {
		why = append(why, held.Error())
	}
	if lost := e.seen.undecided.err(); lost != nil {
		why = append(why, lost.Error())
	}
	if broker != nil {
		why = append(why, broker.Error()+": events are refused")
	}
	if bad := e.uncounted(); bad != nil {
		why = append(why, "events are not counted: "+bad.Error())
	}
	return why
}

// uncounted is what keeps events from being counted now; nil: nothing.
func (e *endpoints) uncounted() error {
	return cmp.Or(e.seen.topics.err(), e.seen.storing.err(), e.seen.counting.err())
}

// denial is the status for who may not do what they ask for: 401, with how to say who one is, where a token is missing or isn't known, and 403 where it isn't enough
// (RFC 6750, section 3).
func denial(w http.ResponseWriter, why error) int {
	switch {
	case errors.Is(why, errNoToken):
		w.Header().Set("WWW-Authenticate", "Bearer")
	case errors.Is(why, errUnknownToken):
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	default:
		return http.StatusForbidden
	}
	return http.StatusUnauthorized
}

// looking lets those look at rollouts who may: 401 or 403 for others, where there are tokens.
func (e *endpoints) looking(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, err := e.people.who(r.Header.Get("Authorization"), "")
		if err == nil {
			err = who.looks()
		}
		if err != nil {
			http.Error(w, err.Error(), denial(w, err))
			return
		}
		next(w, r)
	}
}

// known lets nobody look before what there was before a restart is known again: 503.
func (e *endpoints) known(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if e.board.catching.Load() {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "this serve has just started, and catches up with what was judged before: ask again in a moment", http.StatusServiceUnavailable)
			return
		}
		next(w, r)
	}
}

func (e *endpoints) rollouts(w http.ResponseWriter, _ *http.Request) { answer(w, e.board.Everything()) }

func (e *endpoints) rollout(w http.ResponseWriter, r *http.Request) {
	for _, s := range e.board.Everything() {
		if s.Rollout == r.PathValue("name") {
			answer(w, s)
			return
		}
	}
	head, err := e.record(r.Context(), r.PathValue("name"))
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		http.Error(w, "this serve doesn't know a rollout of that name, and can't look for its record: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	if s, there := recordOf(&head); err == nil && there {
		answer(w, s)
		return
	}
	http.Error(w, "there is no rollout of that name; GET /v1/rollouts lists them", http.StatusNotFound)
}

// noRecord knows no record: nobody can be asked yet.
func noRecord(context.Context, string) (decisions.Head, error) {
	return decisions.Head{}, bus.ErrNotFound
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client is gone, or has it
}
