package actuators

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"streamcanary/schemas"
)

var _ = register(schemas.SinkEnvoy, openEnvoy)

// envoy writes the file of an rtds_layer (runtime discovery from path_config_source): a discovery response with one Runtime, whose layer holds the runtime keys
// <prefix>.<cluster> of a route's weighted_clusters, in basis points. The file is renamed into place, which is what Envoy watches for; keys of other rollouts in it stay.
// The weights of the two clusters in the route itself must add up to 10000, too. One serve writes the file; old keys are never taken out of it, but no more than mostKeys
// come in. Envoy doesn't start without the file, so it is there, without a key, as soon as the sink is opened.
//
//	layered_runtime:
//	  layers:
//	  - name: streamcanary
//	    rtds_layer:
//	      name: streamcanary
//	      rtds_config: {resource_api_version: V3, path_config_source: {path: /etc/envoy/streamcanary.json}}
type envoy struct {
	*courier
	mu *sync.Mutex // of the file: several rollouts have keys in it
}

// runtimeType is the type of the one resource in the file.
const runtimeType = "type.googleapis.com/envoy.service.runtime.v3.Runtime"

// mostKeys bounds the keys of the file. A rollout that would add more isn't begun; what it has, it keeps.
const mostKeys = 1000

type envoyFile struct {
	VersionInfo string         `json:"version_info"` // the id of the decision that changed it last
	Resources   []envoyRuntime `json:"resources"`
}

type envoyRuntime struct {
	Type  string         `json:"@type"`
	Name  string         `json:"name"`
	Layer map[string]any `json:"layer"`
}

func openEnvoy(c *courier) (Actuator, error) {
	a := envoy{c, &sync.Mutex{}}
	file, err := a.load()
	if err == nil && file.VersionInfo == "" && !a.dry() {
		err = a.save(file)
	}
	return a, err
}

// Act writes the weights of a decision that has routes.
func (a envoy) Act(_ context.Context, e *Event) error {
	s, asked, err := splitOf(e)
	if err != nil || !asked {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	file, err := a.load()
	if err != nil {
		return &Failure{Doing: "read the weights", why: err.Error(), cause: err}
	}
	layer := file.Resources[0].Layer
	baseline, canary := e.Use.Prefix+"."+e.Use.Baseline, e.Use.Prefix+"."+e.Use.Canary
	if layer[baseline] == float64(s.baseline) && layer[canary] == float64(s.canary) {
		a.leave(e, "%s has %d for %s and %d for %s", a.sink.File, s.baseline, baseline, s.canary, canary)
		return nil
	}
	layer[baseline], layer[canary] = s.baseline, s.canary
	if len(layer) > mostKeys {
		return conflict("write the weights", "%s has %d keys, %d are allowed: take out those of clusters that are gone", a.sink.File, len(layer), mostKeys)
	}
	file.VersionInfo = e.ID
	if err := a.save(file); err != nil {
		return &Failure{Doing: "write the weights", why: err.Error(), cause: err}
	}
	return nil
}

// save writes the file; a dry run only says so.
func (a envoy) save(file *envoyFile) error {
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return err
	}
	if a.dry() {
		a.options.Say(fmt.Sprintf("would write %s, for %s: %s", a.sink.File, file.VersionInfo, text))
		return nil
	}
	return replaceFile(a.sink.File, append(text, '\n'))
}

// load reads the file; one that isn't there is empty. What somebody else wrote is never written over.
func (a envoy) load() (*envoyFile, error) {
	fresh := &envoyFile{Resources: []envoyRuntime{{runtimeType, a.sink.Layer, map[string]any{}}}}
	text, err := os.ReadFile(a.sink.File)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Dir(a.sink.File)); err != nil {
			return nil, fmt.Errorf("its folder: %w", err)
		}
		return fresh, nil
	}
	if err != nil {
		return nil, err
	}
	var file envoyFile
	if err := json.Unmarshal(text, &file); err != nil || len(file.Resources) != 1 || file.Resources[0].Type != runtimeType || file.Resources[0].Name != a.sink.Layer {
		return nil, fmt.Errorf("%s is not the JSON of one Runtime named %s, as this sink writes it: it is left as it is; move it away, or name another file", a.sink.File, a.sink.Layer)
	}
	if file.Resources[0].Layer == nil {
		file.Resources[0].Layer = map[string]any{}
	}
	return &file, nil
}

// replaceFile writes a file beside and renames it, so that who reads it finds the old one or the new one, whole.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // it is gone if all went well
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
