package actuators

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"streamcanary/schemas"
)

var _ = fits(schemas.SinkAlertmanager, fixture{
	sink: schemas.Sink{Server: at(address+"/am", "f")}, use: schemas.SinkUse{Kind: schemas.SinkAlertmanager, Sink: "x"},
	system: func() http.Handler { return &amServer{} }, heeds: true,
})

// amServer answers as Alertmanager does: 200 with nothing, or 400 with a JSON string that says which alert is invalid.
type amServer struct{}

func (s *amServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var alerts []amAlert
	if r.Method != http.MethodPost || r.URL.Path != "/am/api/v2/alerts" {
		http.NotFound(w, r)
		return
	}
	if json.NewDecoder(r.Body).Decode(&alerts) != nil {
		http.Error(w, `"parsing alerts body failed"`, http.StatusBadRequest)
		return
	}
	for _, a := range alerts {
		if a.Labels["alertname"] == "" || a.StartsAt > a.EndsAt {
			http.Error(w, `"start time must be before end time"`, http.StatusBadRequest)
			return
		}
	}
}

func TestAlertmanager(t *testing.T) {
	labels := func(severity string) map[string]string {
		return map[string]string{"alertname": "StreamcanaryRollout", "severity": severity, "model": "ranker", "rollout": "ranker-42", "team": "feed"}
	}
	within(t, schemas.SinkAlertmanager, nil, func(w *world) {
		if err := w.sink.Act(w.Context(), noticeOf(w.kind, schemas.NoticeRolloutDeleted, schemas.Info)); err != nil {
			w.Fatal(err)
		}
		var gone []amAlert
		if err := json.Unmarshal([]byte(w.all[0].body), &gone); err != nil || len(gone) != 7 || gone[2].Labels["alertname"] != "StreamcanaryRollbackStuck" || gone[3].Labels["alertname"] != "StreamcanaryRollForward" || gone[4].Labels["alertname"] != "StreamcanaryNoRefuge" || gone[6].Labels["alertname"] != "StreamcanaryRetiredServes" || !reflect.DeepEqual(gone[0].Labels, labels("critical")) || gone[0].EndsAt != gone[0].StartsAt {
			w.Errorf("a deletion ends %+v (%v)", gone, err)
		}
		w.all = nil
		for _, e := range []*Event{eventOf(w.kind, rollback()), noticeOf(w.kind, schemas.NoticeRollbackCompleted, schemas.Info), noticeOf(w.kind, schemas.NoticeCommandRefused, schemas.Warning)} {
			if err := w.sink.Act(w.Context(), e); err != nil {
				w.Fatal(err)
			}
		}
		if w.count() != 2 {
			w.Fatalf("%d requests, want one that raises and one that ends", w.count())
		}
		var raised, ended []amAlert
		for i, into := range []*[]amAlert{&raised, &ended} {
			if err := json.Unmarshal([]byte(w.all[i].body), into); err != nil {
				w.Fatal(err)
			}
		}
		const at, later = 1_767_000_001_500, 1_767_000_002_000
		annotations := map[string]string{
			"summary": "rollback: rollout ranker-42 of model ranker", "description": "Canary 42 answers with more errors than <baseline> 41 & more.",
			"id": anID, "epoch": "3", "runbook_url": "https://wiki/ranker",
		}
		want := []amAlert{{labels("critical"), annotations, at, at + schemas.Time(24*time.Hour/time.Millisecond)}, {labels("warning"), annotations, at, at}} // what was a warning is more by now
		if !reflect.DeepEqual(raised, want) {
			w.Errorf("got  %+v\nwant %+v", raised, want)
		}
		if len(ended) != 4 || !reflect.DeepEqual(ended[0].Labels, labels("critical")) || !reflect.DeepEqual(ended[1].Labels, labels("warning")) || ended[0].EndsAt != later || ended[1].EndsAt != later {
			w.Errorf("ended %+v", ended)
		}
	})
}

// TestAlertmanagerFalls: of a rollback that is carried out but for a sink the critical alert ends, and a warning says what stands.
func TestAlertmanagerFalls(t *testing.T) {
	within(t, schemas.SinkAlertmanager, nil, func(w *world) {
		if err := w.sink.Act(w.Context(), waiting("alert-slack", "registry-mlflow", "retired 42")); err != nil {
			w.Fatal(err)
		}
		var got []string
		var sent []amAlert
		if err := json.Unmarshal([]byte(w.all[0].body), &sent); err != nil {
			w.Fatal(err)
		}
		for _, a := range sent {
			got = append(got, fmt.Sprint(a.Labels["alertname"], " ", a.Labels["severity"], " ", a.EndsAt > a.StartsAt, " ", a.Annotations["description"]))
		}
		want := []string{
			"StreamcanaryRollout critical false It is so.", "StreamcanaryRollout warning true It is so. What stands of it is this: alert-slack, registry-mlflow.",
			"StreamcanaryRollbackStuck critical false It is so.", "StreamcanaryRollForward critical false It is so.",
		}
		if !reflect.DeepEqual(got, want) {
			w.Errorf("sent %q, want %q", got, want)
		}
	})
}

// TestAlertmanagerTakes: what it answers to alerts that it took, and what others answer in its place.
func TestAlertmanagerTakes(t *testing.T) {
	for body, taken := range map[string]bool{
		"": true, "\n": true, `{"status":"success"}`: true, // the last as its first API did
		`{"status":"error","error":"x"}`: false, "{}": false, "OK": false, "null": false, "<html>login</html>": false,
	} {
		if failure := amTaken(http.StatusOK, []byte(body)); (failure == nil) != taken {
			t.Errorf("%q: got %v", body, failure)
		}
	}
}

// TestAlertmanagerPast: what its end waits behind is told as an alert that has ended, also while people aren't told by another sink: that goes on as a warning.
func TestAlertmanagerPast(t *testing.T) {
	within(t, schemas.SinkAlertmanager, nil, func(w *world) {
		for _, x := range []struct {
			end  *Event
			want schemas.Time
		}{{waiting(), waiting().at()}, {waiting("alert-x"), waiting().at()}, {waiting("alert-slack"), waiting().at()}, {waiting("route"), 1_767_000_001_500 + schemas.Time(alertLife.Milliseconds())}} {
			w.all = nil
			e := eventOf(w.kind, rollback())
			e.Behind = []*Event{x.end}
			if err := w.sink.Act(w.Context(), e); err != nil || w.count() != 1 {
				w.Fatalf("%d requests: %v", w.count(), err)
			}
			var sent []amAlert
			if err := json.Unmarshal([]byte(w.all[0].body), &sent); err != nil || sent[0].EndsAt != x.want || sent[0].Labels["severity"] != "critical" {
				w.Errorf("before %v: sent %+v (%v), want its end at %s", x.end.Notice.Waiting, sent, err, x.want)
			}
		}
	})
}

// TestAlertmanagerRelabelled: an alert is told with the labels that its decision has, and where the rollout has others by its end, that one ends, and no other is raised.
func TestAlertmanagerRelabelled(t *testing.T) {
	within(t, schemas.SinkAlertmanager, nil, func(w *world) {
		raised := ofTeam("search", "feed", eventOf(w.kind, rollback()))
		if err := w.sink.Act(w.Context(), raised); err != nil {
			w.Fatal(err)
		}
		var sent []amAlert
		if err := json.Unmarshal([]byte(w.all[0].body), &sent); err != nil || sent[0].Labels["team"] != "feed" {
			w.Errorf("sent %+v (%v)", sent, err)
		}
		var s Standing // of a process that was started since
		s.Hear(raised)
		begun := ofAction(schemas.ActionStart, schemas.PhaseCommit, schemas.Info)
		begun.Decision.Epoch++
		s.Hear(ofTeam("search", "search", begun))
		again := w.repeats(&s)
		if len(again) != 1 || !reflect.DeepEqual(again[0].Labels, sent[0].Labels) || again[0].StartsAt != sent[0].StartsAt || again[0].EndsAt != begun.at() {
			w.Errorf("ended %+v, want %+v", again, sent)
		}
		if more := w.repeats(&s); more != nil {
			w.Errorf("after that: %+v", more)
		}
	})
}

func TestLabelName(t *testing.T) {
	for in, want := range map[string]string{"team": "team", "app.kubernetes.io/name": "app_kubernetes_io_name", "1st": "_1st", "": "_", "ä": "_"} {
		if got := labelName(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// TestAlertmanagerTellsVersionsApart: of two versions that serve and are to have no users each is an alert, which its own end ends.
func TestAlertmanagerTellsVersionsApart(t *testing.T) {
	within(t, schemas.SinkAlertmanager, nil, func(w *world) {
		var s Standing
		said := func(kind schemas.NoticeKind, version string) string {
			e := noticeOf(w.kind, kind, schemas.Critical)
			e.Notice.Version = version
			before := w.count()
			if err := w.sink.Act(w.Context(), e); err != nil || w.count() != before+1 {
				w.Fatal(err)
			}
			s.Hear(e)
			var sent []amAlert
			if err := json.Unmarshal([]byte(w.all[before].body), &sent); err != nil {
				w.Fatal(err)
			}
			text := ""
			for _, a := range sent {
				if a.Labels["alertname"] == schemas.OwnAlertRetired && a.Labels["severity"] == "critical" {
					text += fmt.Sprint(a.Labels["version"], " ", a.EndsAt > a.StartsAt)
				}
			}
			return text
		}
		var got []string
		for _, x := range []struct {
			kind    schemas.NoticeKind
			version string
		}{{schemas.NoticeRetiredServes, "42"}, {schemas.NoticeRetiredServes, "43"}, {schemas.NoticeRetiredOver, "42"}} {
			got = append(got, said(x.kind, x.version))
		}
		if want := []string{"42 true", "43 true", "42 false"}; !reflect.DeepEqual(got, want) {
			w.Errorf("sent %q, want %q", got, want)
		}
		time.Sleep(time.Until(time.UnixMilli(int64(eventOf(w.kind, rollback()).at())).Add(time.Hour)))
		if again := w.repeats(&s); len(again) != 1 || again[0].Labels["version"] != "43" {
			w.Errorf("stand %+v", again)
		}
	})
}

// TestVersionToken: a version in an incident's key is short, and another one for each version.
func TestVersionToken(t *testing.T) {
	long := strings.Repeat("ä", schemas.MaxNameBytes/2)
	for version, want := range map[string]string{"42": "42", "a/b": "a=2Fb", strings.Repeat("x", maxToken): strings.Repeat("x", maxToken)} {
		if got := versionToken(version); got != want {
			t.Errorf("%q: %q, want %q", version, got, want)
		}
	}
	if one, other := versionToken(long), versionToken(long[2:]+"b"); one == other || len(one) != maxToken || len(other) != maxToken {
		t.Errorf("%q and %q", one, other)
	}
	r := incident{incidentRetired, schemas.Warning, raise, long}
	if key := (&Event{Rollout: &schemas.Rollout{Name: strings.Repeat("r", schemas.MaxNameBytes)}}).alarmKey(&r); len(key) > 255 {
		t.Errorf("%d bytes", len(key))
	}
}
