package subscribe

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"streamcanary/schemas"
)

// Position is what a subscriber must remember of a model.
type Position struct {
	Applied Version `json:"applied"` // the last decision that was carried out
	Routes  Version `json:"routes"`  // the last of them that moved traffic
	// Snapshot is what a state store named when it carried Applied out.
	Snapshot string `json:"snapshot,omitempty"`
	Trust    string `json:"trust,omitempty"` // the trust file of a key that was learned on first use
}

// Store keeps positions. Load returns the zero Position for a model it doesn't know. Save returns once the position would survive a crash.
// Both may be called for different models at once.
type Store interface {
	Load(model string) (Position, error)
	Save(model string, p Position) error
}

// Memory is a store that forgets at the end of the process: everything is carried out again after a restart.
func Memory() Store { return &memory{positions: map[string]Position{}} }

type memory struct {
	mu        sync.Mutex
	positions map[string]Position
}

func (m *memory) Load(model string) (Position, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.positions[model], nil
}

func (m *memory) Save(model string, p Position) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.positions[model] = p
	return nil
}

// Dir is a store of one small file per model in a folder, which is made if absent. Each write is on disk, whole, before Save returns.
// The folder belongs to one subscriber: two that share it, as two instances of a router could, are told so where they write at once.
func Dir(path string) (Store, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("open position store: %w", err)
	}
	return dir(path), nil
}

type dir string

func (d dir) file(model string) (string, error) {
	token, err := schemas.EncodeName(model)
	return filepath.Join(string(d), token+".json"), err
}

func (d dir) Load(model string) (Position, error) {
	name, err := d.file(model)
	if err != nil {
		return Position{}, err
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return Position{}, nil
	}
	if err != nil {
		return Position{}, err
	}
	var p Position
	if err := json.Unmarshal(text, &p); err != nil {
		return Position{}, fmt.Errorf("%s: %w (remove the file to begin anew)", name, err)
	}
	return p, nil
}

func (d dir) Save(model string, p Position) error {
	name, err := d.file(model)
	if err != nil {
		return err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := writeSynced(name+".new", text); err != nil {
		return err
	}
	if err := d.replace(name); err != nil {
		return err
	}
	folder, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// replace puts the new position in the place of the old one. That it is gone, a moment after it was written, is the work of a second subscriber.
func (d dir) replace(name string) error {
	err := os.Rename(name+".new", name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("another process keeps its positions in %s, too: give each subscriber, and each instance of one, a folder of its own: %w", string(d), err)
	}
	return err
}

func writeSynced(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}
