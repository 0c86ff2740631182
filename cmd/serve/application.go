package serve

import (
	"encoding/json"
	"fmt"
	"time"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// An Application is what `rollout apply` and `rollout delete` leave for the service: the value of the KV entry `<rollout>.spec`.
type Application struct {
	ID   string       `json:"id"`   // of this request: a second one with the same id is the same request
	File string       `json:"file"` // the rollout file's name, for error messages
	YAML string       `json:"yaml"`
	From schemas.Time `json:"from"` // event time from which windows are judged
	// Soon: nobody has said from when on. Where From has passed before its start is journaled, that is from a later time on, which its record has.
	Soon  bool          `json:"soon,omitempty"`
	At    schemas.Time  `json:"at"`
	Actor schemas.Actor `json:"actor"`
	// Documents are the texts of the files that the rollout's pillars name, by name; at most MaxDocumentsBytes.
	Documents map[string]string `json:"documents,omitempty"`
	// Offline are the scores in the file that the rollout's training names, in bins; nil where it names none.
	Offline *schemas.OfflineScores `json:"offline,omitempty"`
	// Retry: begin anew what was judged before. Supersede: end whatever other rollout of the model is under way.
	Retry     bool `json:"retry,omitempty"`
	Supersede bool `json:"supersede,omitempty"`
	// Override: begin although that takes users at once from a version that is not on trial.
	Override bool `json:"override,omitempty"`
	// Back is what `rollout back` goes back from; nil elsewhere.
	Back *decisions.Back `json:"back,omitempty"`

	// Refused is why the service didn't begin it, at RefusedAt: it needs to be applied again. "": it wasn't refused.
	Refused   string       `json:"refused,omitempty"`
	RefusedAt schemas.Time `json:"refused_at,omitzero"`
	// Change is what was applied over this one last, where that was refused, and this one put back; nil: nothing was.
	Change *RefusedChange `json:"refused_change,omitempty"`

	Delete bool `json:"delete,omitempty"` // end the rollout
	Force  bool `json:"force,omitempty"`  // end it, or begin a new epoch, even while a rollback is not yet carried out, or over a canary whose state could not go back then
}

// A RefusedChange is an application that was refused, of a rollout that has a record: what was in force goes on.
type RefusedChange struct {
	ID   string       `json:"application"`
	File string       `json:"file"`
	At   schemas.Time `json:"at"`           // of the application
	By   string       `json:"by,omitempty"` // who applied it
	Why  string       `json:"why"`
	When schemas.Time `json:"refused_at"`
}

// PutBack is this application, as it is put back over one that was refused.
func (a *Application) PutBack(over *Application, why string, at schemas.Time) Application {
	back := *a
	back.Change = over.refused(why, at)
	return back
}

func (a *Application) refused(why string, at schemas.Time) *RefusedChange {
	return &RefusedChange{a.ID, a.File, a.At, a.Actor.Name, why, at}
}

// Bounds of an application, which is kept in the rollout's record: of the documents alone, and of all, encoded.
const (
	MaxDocumentsBytes   = 256 << 10
	MaxApplicationBytes = 400 << 10
)

// Encode returns the entry's bytes. It refuses what the service would.
func (a *Application) Encode() ([]byte, error) {
	size := 0
	for _, text := range a.Documents {
		size += len(text)
	}
	if size > MaxDocumentsBytes {
		return nil, fmt.Errorf("the files that spec.pillars names have %d bytes together, at most %d go along with a rollout: keep schemas in a Schema Registry, and name them with subject:", size, MaxDocumentsBytes)
	}
	body, err := json.Marshal(a)
	if err == nil && len(body) > MaxApplicationBytes {
		return nil, fmt.Errorf("the rollout and the files that go along with it have %d bytes, encoded, and a record holds %d: keep schemas in a Schema Registry, or shorten the file", len(body), MaxApplicationBytes)
	}
	return body, err
}

// StartAhead is how much later than now judging begins where nobody says when: a first window that events have already passed would be read again, and the running rollouts would wait for that. Of it
// startLeft must be left when the start is journaled, since events may be ahead of our clock, and stage one is told a little later.
const (
	StartAhead = 3 * time.Second
	startLeft  = StartAhead / 2
)

// begins moves the beginning on where nobody has said when that is, and events of it may have been read by now: registries may take long, or NATS was away.
func (a *Application) begins(now time.Time) {
	if a.Soon && int64(a.From) < now.Add(startLeft).UnixMilli() {
		a.From = schemas.Time(now.Add(StartAhead).UnixMilli())
	}
}

// Overrides reports whether it goes past something, which takes an admin.
func (a *Application) Overrides() bool {
	return a.Force || a.Override || a.Back != nil && a.Back.Override
}

// moves reports whether whoever begins it has said that it may take users at once from a version that is not on trial.
func (a *Application) moves() bool { return a.Override || a.Retry && a.Force }

// ReadApplication reads an entry, whatever the rollout in it is.
func ReadApplication(body []byte) (Application, error) {
	var a Application
	if err := json.Unmarshal(body, &a); err != nil {
		return a, fmt.Errorf("decode rollout entry: %w", err)
	}
	return a, nil
}

// DecodeApplication reads an entry, and the rollout in it. Where that can't be read, the application is returned all the same.
func DecodeApplication(body []byte) (Application, *schemas.Rollout, error) {
	a, err := ReadApplication(body)
	if err != nil {
		return a, nil, err
	}
	r, err := a.Rollout()
	if err != nil {
		return a, nil, fmt.Errorf("decode rollout entry: %w", err)
	}
	return a, r, nil
}

// Rollout is the rollout in the application, with what came along for it.
func (a *Application) Rollout() (*schemas.Rollout, error) {
	r, err := schemas.ParseRollout(a.File, []byte(a.YAML))
	if err != nil {
		return nil, err
	}
	if err := r.WithOffline(a.Offline); err != nil {
		return nil, err
	}
	return r, nil
}
