package schemas

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// recorded is a message as Alertmanager 0.28 has sent it.
func recorded(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/alertmanager/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestDecodeAlerts(t *testing.T) {
	got, err := DecodeAlerts(recorded(t, "firing"))
	if err != nil {
		t.Fatal(err)
	}
	at := Time(time.Date(2026, 11, 28, 23, 32, 24, 0, time.UTC).UnixMilli())
	want := &Alerts{Receiver: "streamcanary", Group: `{}:{model="story"}`, All: []Alert{
		{Fingerprint: "f1f97eb237fd0840", Labels: map[string]string{"alertname": "Throttled", "model": "story", "severity": "busy"}, StartsAt: at},
		{Fingerprint: "17b5fdc81eae9892", Labels: map[string]string{"alertname": "HighErrors", "model": "story", "severity": "page", "team": "feed"},
			Summary: "5 % of requests fail", URL: "http://prometheus:9090/graph?g0.expr=rate", StartsAt: at},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeAlertsThatFireAndAreResolved(t *testing.T) {
	got, err := DecodeAlerts(recorded(t, "mixed"))
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, a := range got.All {
		words = append(words, fmt.Sprintf("%s %s %t", a.Name(), a.StartsAt, a.Resolved))
		if a.Resolved != (a.EndsAt > 0) {
			t.Errorf("%s ends at %s", a.Name(), a.EndsAt)
		}
	}
	want := "HighErrors 2026-11-28T23:31:50.000Z false, Throttled 2026-11-28T23:31:00.000Z true, " +
		"StreamcanaryRollout 2026-11-28T23:31:51.811Z false, StreamcanaryRollout 2026-11-28T23:31:19.795Z true"
	if have := strings.Join(words, ", "); have != want {
		t.Errorf("got  %s\nwant %s", have, want)
	}
}

// oneAlert is a message with one alert, in which something stands in place of something else.
func oneAlert(old, new string) string {
	text := `{"version":"4","receiver":"r","alerts":[{"status":"firing","labels":{"alertname":"A"},"annotations":{"summary":"S"},` +
		`"startsAt":"2026-01-31T13:00:00.123456789+01:00","endsAt":"0001-01-01T00:00:00Z","generatorURL":"u","fingerprint":"f"}],"more":1}`
	return strings.Replace(text, old, new, 1)
}

func TestDecodeAlertsRefuses(t *testing.T) {
	many := func(n int) string {
		var labels []string
		for i := range n {
			labels = append(labels, fmt.Sprintf(`"l%d":"v"`, i))
		}
		return strings.Join(labels, ",")
	}
	tests := []struct{ name, text, want string }{
		{"no JSON", "{", "decode alerts: unexpected end of JSON input"},
		{"a list, as for the API", "[]", "decode alerts: it is no JSON object"},
		{"a status twice", oneAlert(`"status":"firing"`, `"status":"firing","status":"resolved"`), "decode alerts: key alerts[0].status stands there twice, the second time in line 1: remove one"},
		{"another version", oneAlert(`"4"`, `"1"`), `decode alerts: version is "1": only messages of Alertmanager's webhook, version "4", are read`},
		{"no alerts", `{"version":"4","alerts":[]}`, "decode alerts: it has no alerts"},
		{"too many", `{"version":"4","alerts":[` + strings.Repeat(`{},`, MaxAlerts) + `{}]}`, "decode alerts: it has 1001 alerts, 1000 are allowed: set max_alerts: 1000"},
		{"too long", oneAlert(`"u"`, `"`+strings.Repeat("u", MaxAlertsBytes)+`"`), "bytes or more, 4194304 are allowed: set max_alerts"},
		{"too long, and no JSON", strings.Repeat("x", 20<<20), "the message has 20971520 bytes or more, 4194304 are allowed: set max_alerts"},
		{"another status", oneAlert("firing", "pending"), `decode alerts: alert 1 (A, fingerprint f): status "pending" is unknown: there are firing, resolved`},
		{"no start", oneAlert("2026-01-31T13:00:00.123456789+01:00", "0001-01-01T00:00:00Z"), "decode alerts: alert 1 (A, fingerprint f): startsAt is missing"},
		{"no time", oneAlert("2026-01-31T13:00:00.123456789+01:00", "today"), `decode alerts: alert 1 (A, fingerprint f): startsAt "today" is no time: RFC 3339 is wanted, e.g. 2026-01-31T12:00:00Z`},
		{"no time of its end", oneAlert("0001-01-01T00:00:00Z", "1770000000"), `alert 1 (A, fingerprint f): endsAt "1770000000" is no time`},
		{"a number as a time", oneAlert(`"0001-01-01T00:00:00Z"`, "1770000000"), `alert 1 (A, fingerprint f): json: cannot unmarshal number into Go struct field webhookAlert.endsAt`},
		{"the year 10000 in UTC", oneAlert("0001-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00"), `endsAt "9999-12-31T23:59:59-01:00" is no time`},
		{"no fingerprint", oneAlert(`"f"`, `""`), "alert 1 (A): fingerprint is missing"},
		{"a long fingerprint", oneAlert(`"f"`, `"`+strings.Repeat("f", 65)+`"`), "fingerprint has 65 bytes, 64 are allowed"},
		{"no labels", oneAlert(`{"alertname":"A"}`, `{}`), "alert 1 (without alertname, fingerprint f): labels are missing"},
		{"too many labels", oneAlert(`"alertname":"A"`, many(65)), "it has 65 labels, 64 are allowed"},
		{"a long label", oneAlert(`"A"`, `"A","l":"`+strings.Repeat("v", 1025)+`"`), "a label has 1 bytes and a value of 1025, 128 and 1024 are allowed"},
		{"a number as a label", oneAlert(`"A"`, `1`), "decode alerts: alert 1 (without alertname, fingerprint f): json: cannot unmarshal number"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := DecodeAlerts([]byte(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestAlertsAreShortened(t *testing.T) {
	text := oneAlert(`"S"`, `"one\r\n\ttwo\u0007 `+strings.Repeat("ä", 200)+`"`)
	got, err := DecodeAlerts([]byte(strings.Replace(text, `"u"`, `"`+strings.Repeat("u", 1025)+`"`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	a := got.All[0]
	if !strings.HasPrefix(a.Summary, "one two ää") || !strings.HasSuffix(a.Summary, "ä…") || len(a.Summary) > 256 || len(a.Summary) < 250 {
		t.Errorf("summary %q of %d bytes", a.Summary, len(a.Summary))
	}
	if a.URL != "" || a.StartsAt.String() != "2026-01-31T12:00:00.123Z" {
		t.Errorf("url %q, starts at %s", a.URL, a.StartsAt)
	}
}

func FuzzDecodeAlerts(f *testing.F) {
	f.Add([]byte(oneAlert("", "")))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := DecodeAlerts(data)
		if err != nil {
			return
		}
		for i := range got.All {
			if err := got.All[i].Check(); err != nil {
				t.Errorf("it is read, and refused afterwards: %v", err)
			}
		}
	})
}

// TestAlertGroups: a group's key is one line and bounded, and two that are cut alike stay two.
func TestAlertGroups(t *testing.T) {
	group := func(key string) string {
		got, err := DecodeAlerts([]byte(oneAlert(`"receiver":"r"`, fmt.Sprintf(`"receiver":"r","truncatedAlerts":-1,"groupKey":%q`, key))))
		if err != nil {
			t.Fatal(err)
		}
		if got.Truncated != 0 {
			t.Errorf("%d alerts are left out", got.Truncated)
		}
		return got.Group
	}
	long := strings.Repeat("x", 300)
	a, b := group(long+"a"), group(long+"b")
	if short := group("{}:{}"); short != "{}:{}" || a == b || len(a) > maxAlertSummary+20 || strings.Contains(group("a\nb"), "\n") {
		t.Errorf("groups %q, %q, %q, %q", short, a, b, group("a\nb"))
	}
}
