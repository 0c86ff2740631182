package subscribe

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type netConn = net.Conn

func TestStores(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	open := map[string]func() Store{
		"memory": func() func() Store { m := Memory(); return func() Store { return m } }(),
		"folder": func() Store {
			s, err := Dir(path)
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
	}
	want := Position{Applied: Version{2, 3}, Routes: Version{1, 4}, Trust: "x"}
	for name, store := range open {
		t.Run(name, func(t *testing.T) {
			if have, err := store().Load("m/1"); err != nil || have != (Position{}) {
				t.Errorf("position %+v (%v) of a model that is new", have, err)
			}
			if err := store().Save("m/1", Position{Applied: Version{9, 9}}); err != nil {
				t.Fatal(err)
			}
			if err := store().Save("m/1", want); err != nil {
				t.Fatal(err)
			}
			if have, err := store().Load("m/1"); err != nil || have != want {
				t.Errorf("position %+v (%v), want %+v", have, err, want)
			}
			if have, err := store().Load("m=2F1"); err != nil || have != (Position{}) {
				t.Errorf("position %+v (%v) of another model", have, err)
			}
		})
	}
}

func TestDirRefuses(t *testing.T) {
	path := t.TempDir()
	store, err := Dir(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "m.json"), []byte(`{"applied":`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Load("m"); err == nil || !strings.Contains(err.Error(), "m.json") {
		t.Errorf("error %v of a torn file, want one that names it", err)
	}
	if _, err := Dir(filepath.Join(path, "m.json")); err == nil {
		t.Error("a file is taken for a folder")
	}
}

// TestDirShared: what a second process does to a folder is told, with what to do.
func TestDirShared(t *testing.T) {
	path := t.TempDir()
	store, err := Dir(path)
	if err != nil {
		t.Fatal(err)
	}
	name, err := store.(dir).file("m")
	if err != nil {
		t.Fatal(err)
	}
	if err := writeSynced(name+".new", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := store.Save("m", Position{}); err != nil { // the other one, between writing and renaming
		t.Fatal(err)
	}
	err = store.(dir).replace(name)
	if err == nil || !strings.Contains(err.Error(), "another process keeps its positions in "+path+", too") || !strings.Contains(err.Error(), "a folder of its own") {
		t.Errorf("error %v", err)
	}
}
