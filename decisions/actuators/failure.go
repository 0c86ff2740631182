package actuators

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A Failure says why an event didn't get through. errors.As finds it in every error of Act. No secret stands in it.
type Failure struct {
	Doing    string        // to what: "POST https://host/path"
	Status   int           // that the server answered with; 0: it didn't
	After    time.Duration // that the server asked to wait; 0: it named none
	Attempts int           // made in a row
	// Refused: the server has said that it will never take this. Sending it again is no use.
	Refused bool
	why     string
	cause   error // context.DeadlineExceeded and the like; its text is not shown
	again   bool  // it may get through at once
	alone   bool  // it is about this one change: others may go well
}

// Reached reports whether the system itself said why: it runs, and its address is right. What a proxy says for it (502, 503, 504) doesn't.
func (f *Failure) Reached() bool {
	proxy := f.Status == http.StatusBadGateway || f.Status == http.StatusServiceUnavailable || f.Status == http.StatusGatewayTimeout
	return f.Refused || f.Status > 0 && !proxy
}

// Error says what failed and why, on one line.
func (f *Failure) Error() string {
	text := f.Doing + ": " + f.why
	if f.Attempts > 1 {
		text += fmt.Sprintf(" (tried %d times)", f.Attempts)
	}
	return text
}

// Unwrap gives the cause, for errors.Is.
func (f *Failure) Unwrap() error { return f.cause }

// shownBody bounds what is shown of an answer.
const shownBody = 200

// answered is the failure of an answer that is no success; nil: it is one.
func answered(status int, header http.Header, body []byte, now time.Time) *Failure {
	f := &Failure{Status: status, After: retryAfter(header, now)}
	switch {
	case 200 <= status && status < 300:
		return nil
	case 300 <= status && status < 400:
		f.why = fmt.Sprintf("the server answers %d and points to %s: redirects are not followed, so that no secret goes astray: write the right address into its url", status, whither(header))
		return f
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		f.why = fmt.Sprintf("the server answers %d: look at the token or secret of this sink, and at what it may do%s", status, shown(body))
		return f
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge, status == http.StatusUnprocessableEntity:
		f.Refused = true
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests, status >= 500:
		f.again = true
	}
	f.why = fmt.Sprintf("the server answers %d%s", status, shown(body))
	return f
}

// whither is where a redirect points to, without what may be a secret.
func whither(header http.Header) string {
	u, err := url.Parse(header.Get("Location"))
	if err != nil || u.Host == "" {
		return "another path"
	}
	return u.Scheme + "://" + u.Host
}

// shown is the begin of an answer, on one line.
func shown(body []byte) string {
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(body[:min(len(body), 4*shownBody)]), "?")), " ")
	if text == "" {
		return ""
	}
	if len(text) > shownBody {
		text = strings.ToValidUTF8(text[:shownBody], "") + "…"
	}
	return ": " + text
}

// retryAfter is the pause that a server asks for (RFC 9110, 10.2.3): seconds, or a date; 0: none, or one that can't be read.
func retryAfter(header http.Header, now time.Time) time.Duration {
	text := header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(max(0, seconds)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// unanswered is the failure of a request that got no whole answer within its time.
func unanswered(err error, within time.Duration) *Failure {
	f := &Failure{why: err.Error(), cause: err, again: true}
	var of *url.Error
	if errors.As(err, &of) { // its text has the address, which may be a secret
		f.why = of.Err.Error()
	}
	switch {
	case errors.Is(err, context.Canceled):
		f.again, f.why = false, "stopped before the server answered"
	case errors.Is(err, context.DeadlineExceeded):
		f.why = fmt.Sprintf("no whole answer within %s: is the server overloaded, or the network slow? timeout of the sink says how long to wait", within)
	}
	return f
}

// unlike is the failure of an answer that says success in another shape than its system's: of a proxy between, perhaps.
func unlike(status int, want string, body []byte) *Failure {
	return &Failure{Status: status, again: true, why: fmt.Sprintf("the server answers %d, but not %s: is that the right address, without a proxy between?%s", status, want, shown(body))}
}

// unexpected is the failure of an answer that isn't about what was asked for.
func unexpected(doing, format string, args ...any) *Failure {
	return &Failure{Doing: doing, Status: http.StatusOK, alone: true, why: fmt.Sprintf(format, args...)}
}

// together is what several moves came to: one failure that tells all, the same once, refused where each of them is; nil: all went well.
func together(errs ...error) error {
	var all *Failure
	said := map[string]bool{}
	for _, err := range errs {
		var f *Failure
		switch {
		case err == nil:
		case !errors.As(err, &f):
			return errors.Join(errs...) // it is no answer of the system
		case all == nil:
			first := *f
			all, said[f.why] = &first, true
		default:
			if !said[f.why] {
				all.why += "; and " + f.Error()
			}
			said[f.why] = true
			all.Refused, all.After = all.Refused && f.Refused, max(all.After, f.After)
			if all.Status == 0 || f.Status == 0 {
				all.Status = 0
			}
			all.cause = errors.Join(all.cause, f.cause)
		}
	}
	if all == nil {
		return nil
	}
	return all
}

// conflict is a failure that a person has to look at.
func conflict(doing, format string, args ...any) *Failure {
	return &Failure{Doing: doing, Refused: true, alone: true, why: fmt.Sprintf(format, args...)}
}
