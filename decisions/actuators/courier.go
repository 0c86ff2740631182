package actuators

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"streamcanary/schemas"
)

// Pauses between the requests of a row: the first, doubled each time, up to longestPause. A server that asks for a longer one ends the row.
const (
	firstPause   = 500 * time.Millisecond
	longestPause = 30 * time.Second
)

// maxAnswer bounds an answer that is read.
const maxAnswer = 4 << 20

// A courier sends a sink's requests. Safe for concurrent use.
type courier struct {
	sink    schemas.Sink
	options Options
	http    *http.Client
	// explain, where set, says of an answer that is no success what the system means by it.
	explain func(f *Failure, body []byte)
}

func newCourier(s schemas.Sink, o Options) (*courier, error) {
	o.Program = cmp.Or(o.Program, "streamcanary")
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: o.Dial, TLSClientConfig: o.TLS, MaxIdleConns: 4, MaxConnsPerHost: 4, IdleConnTimeout: time.Minute,
		TLSHandshakeTimeout: s.Timeout, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10,
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	c := &courier{sink: s, options: o, http: client}
	_, err := c.secrets()
	return c, err
}

// dry reports whether nothing may be changed.
func (c *courier) dry() bool { return c.options.Say != nil }

// A call is one request, which may be sent several times in a row.
type call struct {
	method, url string
	hidden      bool // the url is a secret
	key         string
	header      http.Header
	body        []byte
	// stamp, where set, adds what is of one attempt only, and check says what is wrong with the answer of a success.
	stamp func(h http.Header, now time.Time)
	check func(status int, body []byte) *Failure
}

// jsonCall is a call with a JSON body, for an event.
func jsonCall(method, url string, e *Event, body any) (*call, error) {
	text, err := encodeJSON(body)
	if err != nil {
		return nil, err
	}
	return &call{method: method, url: url, key: e.ID, body: text, header: http.Header{"Content-Type": {"application/json"}}}, nil
}

// encodeJSON writes JSON on one line, with the letters that HTML knows as they are.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// doing names a call in an error, without what may be a secret.
func (x *call) doing() string {
	u, err := url.Parse(x.url)
	if err != nil {
		return x.method
	}
	if x.hidden {
		return x.method + " " + u.Scheme + "://" + u.Host + "/***"
	}
	return x.method + " " + u.Scheme + "://" + u.Host + u.Path
}

// change sends a call that changes something; in a dry run it only says so.
func (c *courier) change(ctx context.Context, x *call) error {
	if c.dry() {
		known, _ := c.secrets()
		c.options.Say(known.redact(fmt.Sprintf("would send %s, idempotency key %s: %s", x.doing(), x.key, x.body)))
		return nil
	}
	_, err := c.send(ctx, x)
	return err
}

// leave says, in a dry run, that an event changes nothing, and why: there what came before has changed nothing either.
func (c *courier) leave(e *Event, format string, args ...any) {
	if c.dry() {
		c.options.Say(fmt.Sprintf("would change nothing for %s: %s", e.ID, fmt.Sprintf(format, args...)))
	}
}

// read gets JSON.
func (c *courier) read(ctx context.Context, url string, into any) error {
	_, err := c.send(ctx, &call{method: http.MethodGet, url: url, check: jsonInto(into)})
	return err
}

// jsonInto reads an answer. Numbers in what has no type stay as they are written.
func jsonInto(into any) func(int, []byte) *Failure {
	return func(status int, body []byte) *Failure {
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.UseNumber()
		if err := decoder.Decode(into); err != nil {
			return unlike(status, "with the JSON that is expected", body)
		}
		return nil
	}
}

// send sends a call until it is answered with success, at most 1 + retries times, and returns the answer's body.
func (c *courier) send(ctx context.Context, x *call) ([]byte, error) {
	for n := 1; ; n++ {
		body, failure := c.once(ctx, x)
		if failure == nil {
			return body, nil
		}
		failure.Doing, failure.Attempts = x.doing(), n
		wait := max(c.pause(n), failure.After)
		if !failure.again || n > c.sink.Retries || wait > longestPause {
			return nil, failure
		}
		if c.options.Failed != nil {
			c.options.Failed(failure)
		}
		if !sleep(ctx, wait) {
			return nil, failure
		}
	}
}

// pause is how long to wait after the n-th attempt: of its length at least half.
func (c *courier) pause(n int) time.Duration {
	full := min(firstPause<<min(n-1, 10), longestPause)
	if c.options.Jitter == nil {
		return full
	}
	return full - time.Duration(c.options.Jitter()*float64(full/2))
}

// once sends a call once.
func (c *courier) once(ctx context.Context, x *call) ([]byte, *Failure) {
	known, err := c.secrets()
	if err != nil {
		return nil, &Failure{why: err.Error(), cause: err}
	}
	status, body, failure := c.exchange(ctx, x, &known)
	switch {
	case failure == nil && x.check != nil:
		failure = x.check(status, body)
	case failure != nil && failure.Status > 0 && c.explain != nil:
		c.explain(failure, body)
	}
	if failure != nil {
		failure.why = known.redact(failure.why)
		return nil, failure
	}
	return body, nil
}

// exchange sends one request and reads its answer, both within the sink's timeout.
func (c *courier) exchange(ctx context.Context, x *call, known *secrets) (int, []byte, *Failure) {
	ctx, cancel := context.WithTimeout(ctx, c.sink.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, x.method, x.url, bytes.NewReader(x.body))
	if err != nil {
		return 0, nil, &Failure{why: "this is no address that could be sent to"}
	}
	for key, values := range x.header {
		request.Header[key] = values
	}
	request.Header.Set("User-Agent", c.options.Program)
	if x.key != "" {
		request.Header.Set("Idempotency-Key", `"`+x.key+`"`)
	}
	switch {
	case known.token == "":
	case c.sink.User != "":
		request.SetBasicAuth(c.sink.User, known.token)
	default:
		request.Header.Set("Authorization", "Bearer "+known.token)
	}
	if x.stamp != nil {
		x.stamp(request.Header, time.Now())
	}
	response, err := c.http.Do(request)
	if err != nil {
		return 0, nil, unanswered(err, c.sink.Timeout)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return response.StatusCode, nil, unanswered(err, c.sink.Timeout)
	}
	if len(body) > maxAnswer {
		return response.StatusCode, nil, unlike(response.StatusCode, fmt.Sprintf("within %d bytes", maxAnswer), nil)
	}
	return response.StatusCode, body, answered(response.StatusCode, response.Header, body, time.Now())
}

// sleep waits; false: the context ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
