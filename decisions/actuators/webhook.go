package actuators

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"streamcanary/schemas"
)

var _ = register(schemas.SinkWebhook, openWebhook)

// A webhook posts every event, as a CloudEvent 1.0 in structured mode, signed as Standard Webhooks 1.0.0 says (standard-webhooks/standard-webhooks,
// spec/standard-webhooks.md): webhook-id, webhook-timestamp (of the attempt) and webhook-signature, HMAC-SHA256 over "id.timestamp.body", one for each secret, so that a
// secret can be replaced without a gap. The id is the event's with : for each dot, since it may hold none.
//
// A decision's body is what was published on NATS, byte for byte; the headers Sc-Key-Id and Sc-Signature are those of the stream, so that a receiver can hold it against
// the key of serve, too. A notice's body has the type streamcanary.event.v1. What comes behind the host in the address is shown nowhere: with many receivers it is a secret.
type webhook struct{ *courier }

// shortestKey and longestKey bound what is signed with, in bytes (Standard Webhooks, "signature scheme").
const (
	shortestKey = 24
	longestKey  = 64
)

func openWebhook(c *courier) (Actuator, error) {
	c.explain = explainWebhook
	w := webhook{c}
	_, err := w.keys()
	return w, err
}

// explainWebhook knows what 410 means: the receiver wants nothing more (Standard Webhooks, "deliverability").
func explainWebhook(f *Failure, _ []byte) {
	if f.Status == http.StatusGone {
		f.Refused = true
		f.why += ": the receiver wants no more of this: take the sink out of spec.sinks, or mend its url"
	}
}

// keys are the secrets that are signed with, in the file's order.
func (w webhook) keys() ([][]byte, error) {
	known, err := w.secrets()
	if err != nil {
		return nil, err
	}
	var keys [][]byte
	for i, line := range strings.Fields(known.secret) {
		text, prefixed := strings.CutPrefix(line, "whsec_")
		key, err := base64.StdEncoding.DecodeString(text)
		if !prefixed || err != nil || len(key) < shortestKey || len(key) > longestKey {
			return nil, fmt.Errorf("its secret, line %d, is not whsec_ and then %d to %d bytes in base64: make one with: echo whsec_$(head -c 32 /dev/urandom | base64)", i+1, shortestKey, longestKey)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no secret to sign with")
	}
	return keys, nil
}

// Act posts an event. Any answer of 200 to 299 takes it.
func (w webhook) Act(ctx context.Context, e *Event) error {
	keys, err := w.keys()
	if err != nil {
		return &Failure{Doing: "sign", why: err.Error(), cause: err}
	}
	x := &call{method: http.MethodPost, url: w.sink.URL, hidden: true, key: e.ID, body: e.Signed.Body, header: http.Header{"Content-Type": {"application/cloudevents+json"}}}
	if e.Decision != nil {
		x.header.Set(schemas.HeaderKeyID, e.Signed.KeyID)
		x.header.Set(schemas.HeaderSignature, schemas.EncodeSignature(e.Signed.Signature))
	} else if x.body, err = encodeJSON(noticeEvent(e.Notice)); err != nil {
		return fmt.Errorf("encode notice %s: %w", e.ID, err)
	}
	x.stamp = signer{keys, strings.ReplaceAll(e.ID, ".", ":"), x.body}.sign
	return w.change(ctx, x)
}

// A signer signs one body.
type signer struct {
	keys [][]byte
	id   string
	body []byte
}

// sign sets the three headers for an attempt that is made now.
func (s signer) sign(h http.Header, now time.Time) {
	seconds := strconv.FormatInt(now.Unix(), 10)
	signatures := make([]string, len(s.keys))
	for i, key := range s.keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(s.id + "." + seconds + "."))
		mac.Write(s.body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	h.Set("Webhook-Id", s.id)
	h.Set("Webhook-Timestamp", seconds)
	h.Set("Webhook-Signature", strings.Join(signatures, " "))
}

// cloudNotice is a notice as a CloudEvent.
type cloudNotice struct {
	SpecVersion     string          `json:"specversion"`
	Type            string          `json:"type"`
	Source          string          `json:"source"`
	ID              string          `json:"id"`
	Subject         string          `json:"subject"`
	Time            schemas.Time    `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Data            *schemas.Notice `json:"data"`
}

func noticeEvent(n *schemas.Notice) cloudNotice {
	at := n.At
	if at == 0 {
		at = n.EventTime
	}
	return cloudNotice{"1.0", schemas.NoticeSchema, "streamcanary", n.ID, n.Model, at, "application/json", n}
}
