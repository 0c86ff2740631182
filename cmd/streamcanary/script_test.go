package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"streamcanary/cmd/serve"
	"streamcanary/decisions/subscribe"
	"streamcanary/schemas"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata/script")

// TestMain makes the test binary the programs that scripts run.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"streamcanary": main, "router": router})
}

// TestScript runs testdata/script/*.txtar: the program as its users run it.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", UpdateScripts: *update, RequireUniqueNames: true,
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root":
				return os.Geteuid() == 0, nil
			case "mounts": // may this process mount a small file system?
				return exec.Command("unshare", "-m", "true").Run() == nil, nil
			case "devfull":
				_, err := os.Stat("/dev/full")
				return err == nil, nil
			}
			return false, fmt.Errorf("unknown condition %s", cond)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "refuses": refuses, "until": until, "ready": ready, "unready": unready, "taken": taken, "gz": compressed, "zst": compressed,
			"head": headOf, "shape": shape, "conforms": conforms, "reasons": reasons, "big": big, "empty": empty, "tiny": tiny, "fill": fill, "pretend": pretend, "answers": answers,
			"rewrite": rewrite, "stranger": stranger, "unlogged": unlogged, "copied": copied, "looked": looked, "replace": replace, "expire": expire, "later": later,
		},
	})
}

// router is a subscriber that obeys every decision: router DATA CONSUMER.
func router() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var a serve.Addresses
	text, err := os.ReadFile(filepath.Join(os.Args[1], serve.AddressFile))
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	var keys schemas.Trust
	if err == nil {
		keys, err = readTrust(a.Trust)
	}
	if err == nil {
		err = subscribe.Run(ctx, subscribe.Options{URLs: a.NATS, Models: []string{"ranker"}, Consumer: os.Args[2], Trust: keys},
			func(context.Context, subscribe.Delivery) error { return nil })
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "router:", err)
		os.Exit(1)
	}
}

// outputs runs a program of the script and returns its status and what it printed.
func outputs(ts *testscript.TestScript, args []string) (status int, stdout, stderr string) {
	err := ts.Exec(args[0], args[1:]...)
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		status = failed.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	return status, ts.ReadFile("stdout"), ts.ReadFile("stderr")
}

// exits STATUS PROGRAM ARG... checks the exit status.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	if status, _, _ := outputs(ts, args[1:]); strconv.Itoa(status) != args[0] {
		ts.Fatalf("exit status %d, want %s", status, args[0])
	}
}

// refuses STATUS REGEXP PROGRAM ARG... checks that the program ends with the status and one clear line on standard error that
// matches, and nothing else.
func refuses(ts *testscript.TestScript, _ bool, args []string) {
	status, stdout, stderr := outputs(ts, args[2:])
	want, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	switch {
	case strconv.Itoa(status) != args[0]:
		ts.Fatalf("exit status %d, want %s", status, args[0])
	case stdout != "":
		ts.Fatalf("something on standard output")
	case !strings.HasPrefix(stderr, "streamcanary: ") || strings.Count(stderr, "\n") != 1:
		ts.Fatalf("standard error is not one line of the program's")
	case !want.MatchString(stderr):
		ts.Fatalf("standard error doesn't match %s", want)
	}
}

// scriptWait bounds the waiting for something that happens elsewhere.
const scriptWait = 2 * time.Minute

// until REGEXP PROGRAM ARG... runs the program until it succeeds and its standard output matches.
func until(ts *testscript.TestScript, _ bool, args []string) {
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for began := time.Now(); time.Since(began) < scriptWait; time.Sleep(100 * time.Millisecond) {
		if status, stdout, _ := outputs(ts, args[1:]); status == 0 && want.MatchString(stdout) {
			return
		}
	}
	ts.Fatalf("nothing matched %s within %s", want, scriptWait)
}

// ready DATA waits until the serve on the data folder is ready, and sets KAFKA, NATS and HTTP.
func ready(ts *testscript.TestScript, _ bool, args []string) {
	for began := time.Now(); time.Since(began) < scriptWait; time.Sleep(50 * time.Millisecond) {
		var a serve.Addresses
		text, err := os.ReadFile(ts.MkAbs(filepath.Join(args[0], serve.AddressFile)))
		if err != nil || json.Unmarshal(text, &a) != nil {
			continue
		}
		response, err := http.Get("http://" + a.HTTP + "/readyz")
		if err != nil {
			continue
		}
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			ts.Setenv("KAFKA", a.Kafka[0])
			ts.Setenv("NATS", a.NATS[0])
			ts.Setenv("HTTP", a.HTTP)
			return
		}
	}
	ts.Fatalf("the serve on %s is not ready after %s", args[0], scriptWait)
}

// unready REGEXP checks that the serve that was ready isn't any more, and why.
func unready(ts *testscript.TestScript, _ bool, args []string) {
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	response, err := http.Get("http://" + ts.Getenv("HTTP") + "/readyz")
	ts.Check(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	ts.Check(err)
	if response.StatusCode != http.StatusServiceUnavailable || !want.Match(text) {
		ts.Fatalf("readiness is %d %s, want %s", response.StatusCode, text, want)
	}
}

// taken VARIABLE listens on a port of loopback until the script ends, and sets the variable to it. It answers nobody.
func taken(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	ts.Setenv(args[0], port)
}

// answers VARIABLE FOLDER starts an HTTP server until the script ends, and sets the variable to its address. It answers a question with the folder's file of its
// name (GET_subjects_in_versions_1 for GET /subjects/in/versions/1), else as MLflow says that there is no such thing.
func answers(ts *testscript.TestScript, _ bool, args []string) {
	name := regexp.MustCompile(`[^A-Za-z0-9.-]+`)
	folder := ts.MkAbs(args[1])
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := os.ReadFile(filepath.Join(folder, name.ReplaceAllString(r.Method+r.URL.RequestURI(), "_")))
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			text = []byte(`{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"there is no such thing"}`)
		}
		_, _ = w.Write(text) // whoever asked may be gone
	}))
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL)
}

// gz FROM TO and zst FROM TO compress a file.
func compressed(ts *testscript.TestScript, _ bool, args []string) {
	var out bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&out)
	if strings.HasSuffix(args[1], ".zst") {
		var err error
		w, err = zstd.NewWriter(&out)
		ts.Check(err)
	}
	_, err := io.WriteString(w, ts.ReadFile(args[0]))
	ts.Check(errors.Join(err, w.Close()))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), out.Bytes(), 0o644))
}

// head BYTES FROM TO copies a file's beginning.
func headOf(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(ts.ReadFile(args[1])[:n]), 0o644))
}

// empty FILE checks that a file (stdout, stderr) holds nothing.
func empty(ts *testscript.TestScript, _ bool, args []string) {
	if text := ts.ReadFile(args[0]); text != "" {
		ts.Fatalf("%s is not empty:\n%s", args[0], text)
	}
}

// tiny FOLDER SIZE mounts a file system that is soon full.
func tiny(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	ts.Check(exec.Command("mount", "-t", "tmpfs", "-o", "size="+args[1], "tmpfs", dir).Run())
	ts.Defer(func() { _ = exec.Command("umount", "-l", dir).Run() })
}

// fill FILE writes until the disk is full.
func fill(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	f.Close()
}

// pretend TRUST OTHER TO writes a trust file with the key id of one and the key of another.
func pretend(ts *testscript.TestScript, _ bool, args []string) {
	id, key := strings.Fields(ts.ReadFile(args[0])), strings.Fields(ts.ReadFile(args[1]))
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(id[0]+" "+key[1]+"\n"), 0o644))
}

// conforms SCHEMA FILE checks every line of a file (stdout) of JSON objects against a schema file.
func conforms(ts *testscript.TestScript, _ bool, args []string) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(ts.ReadFile(args[0])))
	ts.Check(err)
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	ts.Check(c.AddResource("schema.json", doc))
	s, err := c.Compile("schema.json")
	ts.Check(err)
	if args[1] == "-" {
		return // the schema itself is what was to be checked
	}
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		ts.Check(err)
		if err := s.Validate(value); err != nil {
			ts.Fatalf("%s: %v", line, err)
		}
	}
}

// shape FROM TO writes what kinds of JSON objects a file's lines are: a line for each `type`, with its keys and what they hold.
func shape(ts *testscript.TestScript, _ bool, args []string) {
	kinds := map[string]map[string]string{}
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			ts.Fatalf("%q: %v", line, err)
		}
		kind, _ := object["type"].(string)
		if kinds[kind] == nil {
			kinds[kind] = map[string]string{}
		}
		keys(kinds[kind], "", object)
	}
	var out strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		fmt.Fprintf(&out, "%s\n", cmp.Or(kind, "(no type)"))
		for _, key := range slices.Sorted(maps.Keys(kinds[kind])) {
			fmt.Fprintf(&out, "\t%s %s\n", key, kinds[kind][key])
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(out.String()), 0o644))
}

// reasons FROM TO writes the line number and the reason of each dead letter.
func reasons(ts *testscript.TestScript, _ bool, args []string) {
	var out strings.Builder
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var letter struct {
			Reason string `json:"reason"`
			Offset int64  `json:"offset"`
		}
		ts.Check(json.Unmarshal([]byte(line), &letter))
		fmt.Fprintf(&out, "line %d %s\n", letter.Offset, letter.Reason)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(out.String()), 0o644))
}

// big BYTES FILE writes an event with an id of that size, and one whose id isn't UTF-8.
func big(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	event := func(id string) string {
		return `{"type":"prediction","id":"` + id + `","ts":1767603600001,"model":"ranker","version":"v1"}` + "\n"
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(event(strings.Repeat("x", n))+event("\xff\xfe")), 0o644))
}

// keys notes the paths of a value's leaves, and what they hold; what is null somewhere and a number elsewhere is a number.
func keys(into map[string]string, path string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for k, x := range v {
			keys(into, strings.TrimPrefix(path+"."+k, "."), x)
		}
		return
	case []any:
		for _, x := range v {
			keys(into, path+"[]", x)
		}
		if len(v) > 0 {
			return
		}
	}
	kind := fmt.Sprintf("%T", value)
	names := map[string]string{"<nil>": "null", "float64": "number", "[]interface {}": "[]"}
	if name := names[kind]; name != "" {
		kind = name
	}
	if old := into[path]; old == "" || old == "null" {
		into[path] = kind
	}
}
