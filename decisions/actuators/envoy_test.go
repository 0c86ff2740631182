package actuators

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"streamcanary/schemas"
)

var _ = fits(schemas.SinkEnvoy, fixture{
	sink: schemas.Sink{File: "weights.json", Layer: "streamcanary"},
	use:  schemas.SinkUse{Kind: schemas.SinkEnvoy, Sink: "x", Prefix: "routing.ranker", Baseline: "ranker-41", Canary: "ranker-42"},
})

const envoyText = `{
  "version_info": "ranker-42.3.7",
  "resources": [
    {
      "@type": "type.googleapis.com/envoy.service.runtime.v3.Runtime",
      "name": "streamcanary",
      "layer": {
        "routing.ranker.ranker-41": 10000,
        "routing.ranker.ranker-42": 0
      }
    }
  ]
}
`

func TestEnvoy(t *testing.T) {
	within(t, schemas.SinkEnvoy, nil, func(w *world) {
		file := w.sink.courier.sink.File
		check := func(want string) {
			w.Helper()
			got, err := os.ReadFile(file)
			if err != nil || string(got) != want {
				w.Errorf("got %v\n%s\nwant\n%s", err, got, want)
			}
		}
		check(strings.NewReplacer("ranker-42.3.7", "", `{
        "routing.ranker.ranker-41": 10000,
        "routing.ranker.ranker-42": 0
      }`, "{}").Replace(envoyText)) // Envoy doesn't start without it
		if err := w.act(); err != nil {
			w.Fatal(err)
		}
		check(envoyText)
		before, err := os.Stat(file)
		if err != nil {
			w.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := w.act(); err != nil {
			w.Fatal(err)
		}
		if again, err := os.Stat(file); err != nil || !os.SameFile(before, again) {
			w.Errorf("what is right already was written again (%v)", err)
		}
		other := eventOf(w.kind, rollback()) // another rollout's keys stand beside
		other.ID, other.Use.Prefix = "other.1.1", "routing.other"
		if err := w.sink.Act(w.Context(), other); err != nil {
			w.Fatal(err)
		}
		check(strings.NewReplacer(`"ranker-42.3.7"`, `"other.1.1"`, `        "routing.ranker.ranker-41"`, "        \"routing.other.ranker-41\": 10000,\n        \"routing.other.ranker-42\": 0,\n        \"routing.ranker.ranker-41\"").Replace(envoyText))
		left, err := filepath.Glob(filepath.Join(filepath.Dir(file), ".*json*"))
		if err != nil || len(left) > 0 {
			w.Errorf("left behind: %v (%v)", left, err)
		}
	})
}

// TestEnvoyFaults: what somebody else wrote is never written over, and what can't be written is said.
func TestEnvoyFaults(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON": "resources: []", "no resource": `{"resources":[]}`, "another type": strings.Replace(envoyText, "Runtime\"", "Listener\"", 1),
		"another layer": strings.Replace(envoyText, `"streamcanary"`, `"edge"`, 1),
	} {
		within(t, schemas.SinkEnvoy, nil, func(w *world) {
			s := w.sink.courier.sink
			if err := os.WriteFile(s.File, []byte(text), 0o600); err != nil {
				w.Fatal(err)
			}
			_ = w.fails(w.act(), "read the weights", "is not the JSON of one Runtime named streamcanary")
			if got, err := os.ReadFile(s.File); err != nil || string(got) != text {
				w.Errorf("%s: it was changed to %s (%v)", name, got, err)
			}
			if _, err := Open(s, Options{}); err == nil {
				w.Errorf("%s: it is opened", name)
			}
		})
	}
	within(t, schemas.SinkEnvoy, nil, func(w *world) {
		for n := range mostKeys/2 + 1 {
			e := eventOf(w.kind, rollback())
			e.Use.Prefix = fmt.Sprint("p", n)
			if err := w.sink.Act(w.Context(), e); (err != nil) != (n == mostKeys/2) {
				w.Fatalf("rollout %d: %v", n, err)
			} else if err != nil && !strings.Contains(err.Error(), "has 1002 keys, 1000 are allowed: take out those of clusters that are gone") {
				w.Error(err)
			}
		}
	})
	within(t, schemas.SinkEnvoy, nil, func(w *world) {
		if err := os.RemoveAll(filepath.Dir(w.sink.courier.sink.File)); err != nil {
			w.Fatal(err)
		}
		_ = w.fails(w.act(), "its folder", "no such file or directory")
	})
	within(t, schemas.SinkEnvoy, nil, func(w *world) {
		file := w.sink.courier.sink.File
		if err := errors.Join(os.Remove(file), os.Mkdir(file, 0o700)); err != nil {
			w.Fatal(err)
		}
		_ = w.fails(w.act(), "read the weights", "is a directory")
	})
}
