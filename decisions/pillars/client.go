package pillars

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Bounds of asking a registry.
const (
	retryFirst  = 500 * time.Millisecond // doubled each time
	retryMost   = 5 * time.Second        // of what Retry-After may ask for
	answerBytes = 2 << 20
	shownBytes  = 300 // of what a registry says, in an error
)

// An Endpoint is an HTTP API, and who we are there.
type Endpoint struct {
	URL     string                 // without a slash at its end
	User    string                 // with the token as password; "": it is a bearer's
	Token   func() (string, error) // called for each request, so that a new one is taken without a restart; "": there is none
	TLS     *tls.Config            // nil: the system's certificates
	Timeout time.Duration          // of each request
	Retries int                    // after the first
	// Dial is for tests over a network inside the process; nil: as usual.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// A Client asks one registry. It may be used by many goroutines.
type Client struct {
	endpoint Endpoint
	name     string // for errors
	refusal  func(body []byte) (code, message string)
	http     *http.Client
}

// NewMLflow is a client of an MLflow tracking server's model registry.
func NewMLflow(e Endpoint) *Client { return newClient(e, "MLflow", mlflowRefusal) }

// NewSchemas is a client of a Schema Registry.
func NewSchemas(e Endpoint) *Client { return newClient(e, "the Schema Registry", schemaRefusal) }

func newClient(e Endpoint, name string, refusal func([]byte) (string, string)) *Client {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: e.TLS, DialContext: e.Dial, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	asIs := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // a token must not follow to another host
	return &Client{e, name, refusal, &http.Client{Transport: transport, CheckRedirect: asIs, Timeout: e.Timeout}}
}

// address is where the registry is, for people: it holds no secret (schemas.Server).
func (c *Client) address() string { return c.endpoint.URL }

// call is one question.
type call struct {
	method, path string
	body         any // as JSON; nil: none
	answer       any // filled from the JSON of a 200
}

// A refusal is an answer that is no 200.
type refusal struct {
	name          string
	status        int
	code, message string // of the API, where it says so
	after         time.Duration
	attempts      int
}

func (r *refusal) Error() string {
	what := fmt.Sprintf("%s answers %d", r.name, r.status)
	if r.message != "" {
		what += " (" + r.message + ")"
	}
	switch {
	case r.status == http.StatusUnauthorized, r.status == http.StatusForbidden:
		return what + ": it doesn't let us in: look at user, and tokenFile or tokenEnv, of its entry in registries"
	case r.status >= 300 && r.status < 400:
		return what + ": it sends us elsewhere, which is not followed: write that address as its url in registries"
	case r.status == http.StatusNotFound:
		return what + ": is its url in registries the API's own address?"
	case r.status == http.StatusTooManyRequests:
		return fmt.Sprintf("%s (tried %d times): it is asked too much: try again later, or raise its limit for us", what, r.attempts)
	case r.status >= 500:
		return fmt.Sprintf("%s (tried %d times): look at its log", what, r.attempts)
	}
	return what
}

// passes reports whether a failure may pass by itself.
func (r *refusal) passes() bool { return r.status == http.StatusTooManyRequests || r.status >= 500 }

// call asks, again where a failure may pass, and reads the answer.
func (c *Client) call(ctx context.Context, q call) error {
	wait := retryFirst
	for attempt := 1; ; attempt++ {
		err := c.once(ctx, q)
		var no *refusal
		answered := errors.As(err, &no)
		var broken *unreadable
		if err == nil || answered && !no.passes() || errors.As(err, &broken) || attempt > c.endpoint.Retries {
			if answered {
				no.attempts = attempt
			}
			return err
		}
		pause := wait
		if answered && no.after > 0 {
			pause = min(no.after, retryMost)
		}
		wait *= 2
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// unreadable is what no second try helps with: a secret or an answer that can't be read.
type unreadable struct{ error }

// Unwrap is the cause.
func (u unreadable) Unwrap() error { return u.error }

// once asks once.
func (c *Client) once(ctx context.Context, q call) error {
	request, err := c.request(ctx, q)
	if err != nil {
		return &unreadable{err}
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("ask %s at %s: %w: does it run, and is its url in registries right?", c.name, c.address(), c.silent(ctx, bare(err)))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, answerBytes+1))
	switch {
	case err != nil:
		return fmt.Errorf("ask %s at %s: read its answer: %w", c.name, c.address(), c.silent(ctx, bare(err)))
	case response.StatusCode != http.StatusOK:
		no := &refusal{name: fmt.Sprintf("%s at %s", c.name, c.address()), status: response.StatusCode, after: retryAfter(response)}
		no.code, no.message = c.refusal(body)
		no.message = shown(no.message)
		return no
	case len(body) > answerBytes:
		return &unreadable{fmt.Errorf("ask %s at %s: its answer has more than %d bytes", c.name, c.address(), answerBytes)}
	}
	if err := json.Unmarshal(body, q.answer); err != nil {
		return &unreadable{fmt.Errorf("ask %s at %s: its answer is not what its API says (%s): is its url in registries right?", c.name, c.address(), shown(err.Error()))}
	}
	return nil
}

// request makes a question's request, with what says who we are.
func (c *Client) request(ctx context.Context, q call) (*http.Request, error) {
	var body io.Reader
	if q.body != nil {
		text, err := json.Marshal(q.body)
		if err != nil {
			return nil, fmt.Errorf("ask %s: %w", c.name, err)
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, q.method, c.endpoint.URL+q.path, body)
	if err != nil {
		return nil, fmt.Errorf("ask %s at %s: %w", c.name, c.address(), err)
	}
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	token, err := c.endpoint.Token()
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask %s at %s: %w", c.name, c.address(), err)
	case c.endpoint.User != "":
		r.SetBasicAuth(c.endpoint.User, token)
	case token != "":
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r, nil
}

// silent says of a server that doesn't answer in time how long that was; other errors are as they are.
func (c *Client) silent(ctx context.Context, err error) error {
	var late net.Error
	switch {
	case !errors.As(err, &late) || !late.Timeout():
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return fmt.Errorf("no answer within %s", c.endpoint.Timeout)
}

// bare is a client's error without the address, which the caller names.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// retryAfter is what a server asks to wait for; 0: nothing, or a date.
func retryAfter(r *http.Response) time.Duration {
	seconds, err := strconv.ParseUint(r.Header.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// shown is what a registry says, fit for a sentence.
func shown(text string) string {
	if len(text) > shownBytes {
		text = strings.ToValidUTF8(text[:shownBytes], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}
