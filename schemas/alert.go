package schemas

import (
	"cmp"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Bounds of what Alertmanager's webhook tells. A message beyond them is refused whole.
const (
	MaxAlertsBytes  = 4 << 20
	MaxAlerts       = 1000 // of one message; webhook_configs.max_alerts bounds them there
	MaxAlertLabels  = 64
	maxAlertLabel   = 1024 // bytes of a label's value
	maxFingerprint  = 64
	maxAlertSummary = 256 // the rest of what is longer is cut
	maxAlertURL     = 1024
)

// alertsVersion is that of the webhook's messages.
const alertsVersion = "4"

// OwnAlert is the alertname of what the alertmanager sink raises: no guardrail from outside heeds it, since a rollout would be judged by what was said of it.
const OwnAlert = "StreamcanaryRollout"

// An Alert is one alert that Alertmanager tells of.
type Alert struct {
	Fingerprint string            `json:"fingerprint"` // of its labels
	Labels      map[string]string `json:"labels"`
	Summary     string            `json:"summary,omitempty"` // its annotation, shortened, on one line
	URL         string            `json:"url,omitempty"`     // generatorURL
	StartsAt    Time              `json:"starts_at"`         // Alertmanager's clock
	EndsAt      Time              `json:"ends_at,omitzero"`  // none while it fires, unless whoever raised it knows
	Resolved    bool              `json:"resolved,omitempty"`
}

// Name is what it is called, on one line; never empty.
func (a *Alert) Name() string { return cmp.Or(onOneLine(a.Labels["alertname"]), "without alertname") }

// Alerts are what one message of the webhook tells.
type Alerts struct {
	Receiver  string
	Truncated int64 // alerts that the message has not, by its max_alerts
	All       []Alert
}

// webhookMessage is the message, as far as it is looked at
// (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config).
type webhookMessage struct {
	Version   string         `json:"version"`
	Receiver  string         `json:"receiver"`
	Truncated int64          `json:"truncatedAlerts"`
	Alerts    []webhookAlert `json:"alerts"`
}

type webhookAlert struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

// DecodeAlerts reads a message of Alertmanager's webhook. Fields that it doesn't know are passed over; anything malformed, or beyond a bound, is an error
// that names the alert.
func DecodeAlerts(data []byte) (*Alerts, error) {
	var m webhookMessage
	err := decodeMessage(data, MaxAlertsBytes, &m)
	switch {
	case err != nil:
	case m.Version != alertsVersion:
		err = fmt.Errorf("version is %q: only messages of Alertmanager's webhook, version %q, are read", m.Version, alertsVersion)
	case len(m.Alerts) == 0:
		err = fmt.Errorf("it has no alerts")
	case len(m.Alerts) > MaxAlerts:
		err = fmt.Errorf("it has %d alerts, %d are allowed: set max_alerts: %d in webhook_configs, or group by more labels", len(m.Alerts), MaxAlerts, MaxAlerts)
	}
	all := &Alerts{Receiver: m.Receiver, Truncated: m.Truncated}
	for i := 0; i < len(m.Alerts) && err == nil; i++ {
		a := m.Alerts[i].alert()
		if err = m.Alerts[i].check(&a); err != nil {
			err = fmt.Errorf("alert %d (%s): %w", i+1, a.Name(), err)
		}
		all.All = append(all.All, a)
	}
	if err != nil {
		return nil, fmt.Errorf("decode alerts: %w", err)
	}
	return all, nil
}

// alert is what is kept. A time of the year 1 is none: Go's zero time.
func (w *webhookAlert) alert() Alert {
	a := Alert{
		Fingerprint: w.Fingerprint, Labels: w.Labels, Summary: onOneLine(w.Annotations["summary"]), URL: w.GeneratorURL,
		StartsAt: Time(w.StartsAt.UnixMilli()), Resolved: w.Status == "resolved",
	}
	if w.EndsAt.Year() > 1 {
		a.EndsAt = Time(w.EndsAt.UnixMilli())
	}
	if len(a.URL) > maxAlertURL {
		a.URL = "" // a part of it leads nowhere
	}
	return a
}

func (w *webhookAlert) check(a *Alert) error {
	var f fault
	oneOf(&f, "status", w.Status, "firing", "resolved")
	f.unless(w.StartsAt.Year() > 1 && a.StartsAt.writable(), "startsAt is missing")
	f.unless(a.EndsAt.writable(), "endsAt is outside of the years 0 to 9999")
	f.unless(f.err != nil || a.Check() == nil, "%v", a.Check())
	return f.err
}

// Check holds an alert to its bounds: the error says which is passed.
func (a *Alert) Check() error {
	var f fault
	f.unless(a.Fingerprint != "", "fingerprint is missing")
	f.unless(len(a.Fingerprint) <= maxFingerprint, "fingerprint has %d bytes, %d are allowed", len(a.Fingerprint), maxFingerprint)
	f.unless(len(a.Labels) > 0, "labels are missing")
	f.unless(len(a.Labels) <= MaxAlertLabels, "it has %d labels, %d are allowed", len(a.Labels), MaxAlertLabels)
	for name, value := range a.Labels {
		f.unless(len(name) <= MaxNameBytes && len(value) <= maxAlertLabel, "a label has %d bytes and a value of %d, %d and %d are allowed",
			len(name), len(value), MaxNameBytes, maxAlertLabel)
	}
	return f.err
}

// onOneLine is a text without what breaks lines, cut to what a summary may have.
func onOneLine(text string) string {
	plain := strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if len(plain) <= maxAlertSummary {
		return plain
	}
	return strings.ToValidUTF8(plain[:maxAlertSummary-len("…")], "") + "…"
}
