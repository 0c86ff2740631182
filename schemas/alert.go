package schemas

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/crc32"
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

// The alertnames of what the alertmanager sink raises: about a rollout, that its rollback is stuck, that its stores don't do what they were asked, that to roll forward is recommended while its rollback is carried out, that all users are with a baseline that is beyond a limit of its own,
// and that a version serves that is to have no users.
const (
	OwnAlert        = "StreamcanaryRollout"
	OwnAlertStuck   = "StreamcanaryRollbackStuck"
	OwnAlertState   = "StreamcanaryStateStuck"
	OwnAlertForward = "StreamcanaryRollForward"
	OwnAlertRefuge  = "StreamcanaryNoRefuge"
	OwnAlertRetired = "StreamcanaryRetiredServes"
)

// IsOwnAlert reports whether an alertname is one of those: no guardrail from outside heeds it, since a rollout would be judged by what was said of it.
func IsOwnAlert(name string) bool {
	switch name {
	case OwnAlert, OwnAlertStuck, OwnAlertState, OwnAlertForward, OwnAlertRefuge, OwnAlertRetired:
		return true
	}
	return false
}

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
	Group     string // whose alerts they are: Alertmanager's groupKey, on one line, with a hash behind it where it had to be changed for that
	Truncated int64  // alerts that the message has not, by its max_alerts
	All       []Alert
}

// webhookMessage is the message, as far as it is looked at
// (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config).
type webhookMessage struct {
	Version   string            `json:"version"`
	Receiver  string            `json:"receiver"`
	Group     string            `json:"groupKey"`
	Truncated int64             `json:"truncatedAlerts"`
	Alerts    []json.RawMessage `json:"alerts"` // webhookAlert, each read on its own: what is wrong with one is said of it
}

type webhookAlert struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     string            `json:"startsAt"` // like endsAt it is read later, so that an error can name the alert
	EndsAt       string            `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

// DecodeAlerts reads a message of Alertmanager's webhook. Fields that it doesn't know are passed over; anything malformed, or beyond a bound, is an error
// that names the alert.
func DecodeAlerts(data []byte) (*Alerts, error) {
	var m webhookMessage
	if len(data) > MaxAlertsBytes {
		return nil, fmt.Errorf("decode alerts: %w", AlertsTooLong(len(data)))
	}
	err := decodeMessage(data, MaxAlertsBytes, &m)
	if err == nil {
		err = OnceEach(data)
	}
	switch {
	case err != nil:
	case m.Version != alertsVersion:
		err = fmt.Errorf("version is %q: only messages of Alertmanager's webhook, version %q, are read", m.Version, alertsVersion)
	case len(m.Alerts) == 0:
		err = fmt.Errorf("it has no alerts")
	case len(m.Alerts) > MaxAlerts:
		err = fmt.Errorf("it has %d alerts, %d are allowed: set max_alerts: %d in webhook_configs, or group by more labels", len(m.Alerts), MaxAlerts, MaxAlerts)
	}
	all := &Alerts{Receiver: m.Receiver, Group: groupName(m.Group), Truncated: max(0, m.Truncated)}
	for i := 0; i < len(m.Alerts) && err == nil; i++ {
		a, bad := decodeAlert(m.Alerts[i])
		if bad != nil {
			err = fmt.Errorf("alert %d (%s): %w", i+1, a.called(), bad)
		}
		all.All = append(all.All, a)
	}
	if err != nil {
		return nil, fmt.Errorf("decode alerts: %w", err)
	}
	return all, nil
}

// groupName is a group's key as it is kept, bounded: other keys have other names.
func groupName(key string) string {
	plain := onOneLine(key)
	if plain == key {
		return key
	}
	return fmt.Sprintf("%s #%08x", plain, crc32.ChecksumIEEE([]byte(key)))
}

// AlertsTooLong is the error of a message of so many bytes, or more.
func AlertsTooLong(bytes int) error {
	return fmt.Errorf("the message has %d bytes or more, %d are allowed: set max_alerts in webhook_configs, or group by more labels", bytes, MaxAlertsBytes)
}

// decodeAlert reads one alert of a message. Where that fails, it has what could be read.
func decodeAlert(data []byte) (Alert, error) {
	var w webhookAlert
	bad := json.Unmarshal(data, &w)
	a := Alert{
		Fingerprint: w.Fingerprint, Labels: w.Labels, Summary: onOneLine(w.Annotations["summary"]), URL: w.GeneratorURL, Resolved: w.Status == "resolved",
	}
	if len(a.URL) > maxAlertURL {
		a.URL = "" // a part of it leads nowhere
	}
	var f fault
	f.unless(bad == nil, "%w", bad)
	oneOf(&f, "status", w.Status, "firing", "resolved")
	a.StartsAt = f.alertTime("startsAt", w.StartsAt)
	a.EndsAt = f.alertTime("endsAt", w.EndsAt)
	f.unless(a.StartsAt != 0, "startsAt is missing")
	f.unless(f.err != nil || a.Check() == nil, "%v", a.Check())
	return a, f.err
}

// alertTime reads a time. One of the year 1 is none, as Go's zero time.
func (f *fault) alertTime(field, text string) Time {
	if text == "" {
		return 0
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	t := Time(at.UnixMilli())
	f.unless(err == nil && t.writable(), "%s %.64q is no time: RFC 3339 is wanted, e.g. 2026-01-31T12:00:00Z", field, text)
	if err != nil || at.Year() <= 1 {
		return 0
	}
	return t
}

// called is the alert's name and fingerprint, as far as it has them.
func (a *Alert) called() string {
	if a.Fingerprint == "" {
		return a.Name()
	}
	return fmt.Sprintf("%s, fingerprint %.64s", a.Name(), a.Fingerprint)
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
