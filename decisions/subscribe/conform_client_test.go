package subscribe

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"streamcanary/schemas"
)

// conformConfig is what a client under test is told: the one argument of its command, as JSON.
type conformConfig struct {
	URLs     []string            `json:"urls"`
	Models   []string            `json:"models"`
	Consumer string              `json:"consumer"`
	Instance string              `json:"instance"`
	Trust    string              `json:"trust"` // file of trusted keys
	Dir      string              `json:"dir"`   // folder for its positions
	Store    bool                `json:"store"` // it is a state store, not a router
	Answers  map[string][]string `json:"answers"`
}

// slowCall is how long a slow call takes, whatever is said to it: longer than the grace of a call that a newer decision has overtaken.
const slowCall = 3 * time.Second

// answer is what a handler does when it is called for the n-th time, from 0, for a decision.
func (c *conformConfig) answer(ctx context.Context, version string, n int) error {
	all := c.Answers[version]
	if n >= len(all) {
		return nil
	}
	if why, refuses := strings.CutPrefix(all[n], "refuse:"); refuses {
		return Reject(why)
	}
	if what, fails := strings.CutPrefix(all[n], "fail:"); fails {
		return errors.New(what)
	}
	switch all[n] {
	case "slow":
		time.Sleep(slowCall)
	case "long":
		if !pause(ctx, slowCall) {
			return ctx.Err()
		}
	case "fail":
		return errors.New("no disk")
	}
	return nil
}

// conformClient is a client under test.
type conformClient struct {
	name    string
	missing string // why it can't be run here
	start   func(*testing.T, conformConfig) (conformRun, error)
	turns   []conformClient // instead of start: it is started as each of these by turns, on the same positions
}

// conformRun is a client that runs. lines are what it says, until it was stopped.
type conformRun interface {
	lines() <-chan string
	stop() error
}

// pythonVariable names the Python to test with: there, one that lacks what the client needs is a failure, not a reason to skip.
const pythonVariable = "STREAMCANARY_PYTHON"

func pythonHere() string { return cmp.Or(os.Getenv(pythonVariable), "python3") }

// clients are those that can be tested here.
func clients(t *testing.T) []conformClient {
	t.Helper()
	root, err := filepath.Abs("../../deploy/clients/python")
	if err != nil {
		t.Fatal(err)
	}
	all := []conformClient{{name: "go", start: startGo}}
	python := pythonHere()
	check := exec.Command(python, "-c", "import cryptography, nats, nats.js; assert __import__('sys').version_info >= (3, 10)")
	second := conformClient{name: "python", start: command([]string{python, filepath.Join(root, "tests", "conform.py")}, "PYTHONPATH="+root, "PYTHONDONTWRITEBYTECODE=1")}
	if out, err := check.CombinedOutput(); err != nil {
		if os.Getenv(pythonVariable) != "" {
			t.Fatalf("%s=%s can't run the client in Python: %v: %s", pythonVariable, python, err, out)
		}
		second.missing = fmt.Sprintf("no python3 of 3.10 or later with nats-py and cryptography is here (%v); make one with `python3 -m venv V && V/bin/pip install ./deploy/clients/python`, and name it: %s=$PWD/V/bin/python",
			err, pythonVariable)
	}
	all = append(all, second, conformClient{name: "by-turns", missing: second.missing, turns: []conformClient{all[0], second}})
	if own := strings.Fields(os.Getenv("CONFORMANCE_CLIENT")); len(own) > 0 {
		all = append(all, conformClient{name: "yours", start: command(own)})
	}
	return all
}

// TestPython runs what the client in Python tests by itself.
func TestPython(t *testing.T) {
	for _, c := range clients(t) {
		if c.name != "python" {
			continue
		}
		if c.missing != "" {
			t.Skip("skipped, not passed: " + c.missing)
		}
		test := exec.CommandContext(t.Context(), pythonHere(), "-m", "unittest", "discover", "-s", "tests")
		test.Dir, test.Env = "../../deploy/clients/python", append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
		if out, err := test.CombinedOutput(); err != nil || !strings.Contains(string(out), "\nRan ") {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// goRun is this package as a client under test.
type goRun struct {
	said   chan string
	cancel context.CancelFunc
	done   chan error
	calls  map[string]int
}

func startGo(t *testing.T, c conformConfig) (conformRun, error) {
	text, err := os.ReadFile(c.Trust)
	if err != nil {
		return nil, err
	}
	trust, err := schemas.ParseTrust(c.Trust, text)
	if err != nil {
		return nil, err
	}
	store, err := Dir(c.Dir)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &goRun{said: make(chan string, 1024), cancel: cancel, done: make(chan error, 1), calls: map[string]int{}}
	o := Options{URLs: c.URLs, Models: c.Models, Consumer: c.Consumer, Instance: c.Instance, Trust: trust, Store: store, OnError: r.fault}
	handler := func(ctx context.Context, d Delivery) error {
		version := fmt.Sprintf("%d.%d", d.Decision.Epoch, d.Decision.Seq)
		r.said <- givenLine(version, &d)
		return c.answer(ctx, version, d.Attempt-1)
	}
	if c.Store {
		handler = KeepState(c.Consumer, &goKeeper{r, &c})
	}
	go func() {
		r.done <- Run(ctx, o, handler)
		close(r.said)
	}()
	return r, nil
}

func (r *goRun) lines() <-chan string { return r.said }

func (r *goRun) stop() error {
	r.cancel()
	return <-r.done
}

func (r *goRun) fault(err error) {
	kind := "error "
	if strings.Contains(err.Error(), "is not obeyed") {
		kind = "refused "
	}
	r.said <- kind + err.Error()
}

// givenLine is a call of the handler in the script's words.
func givenLine(version string, d *Delivery) string {
	words := []string{"given", version, string(d.Decision.Action)}
	var routes []string
	for _, r := range d.Decision.Routes {
		routes = append(routes, fmt.Sprintf("%s:%d", r.Version, r.WeightBP))
	}
	if len(routes) > 0 {
		words = append(words, strings.Join(routes, ","))
	}
	if d.Advise {
		words = append(words, "advise")
	}
	if d.Restored {
		words = append(words, "restored")
	}
	if d.Attempt > 1 {
		words = append(words, fmt.Sprint("attempt=", d.Attempt))
	}
	return strings.Join(words, " ")
}

// goKeeper is the state store of a script: its snapshots are s1, s2 and so on, and it answers to the snapshot as decision 1.1 is to be answered.
type goKeeper struct {
	r *goRun
	c *conformConfig
}

func (k *goKeeper) Snapshot(ctx context.Context) (string, error) {
	n := k.r.calls["snapshot"]
	k.r.calls["snapshot"]++
	k.r.said <- "told snapshot"
	return fmt.Sprint("s", n+1), k.c.answer(ctx, "1.1", n)
}

func (k *goKeeper) Freeze(_ context.Context, s string) error {
	k.r.said <- "told freeze " + s
	return nil
}

func (k *goKeeper) Restore(_ context.Context, s string) error {
	k.r.said <- "told restore " + s
	return nil
}

func (k *goKeeper) Unfreeze(context.Context) error {
	k.r.said <- "told unfreeze"
	return nil
}

// processRun is a client that is a process.
type processRun struct {
	said    chan string
	process *exec.Cmd
}

// command is a client that a command line starts, with its configuration as the last argument.
func command(line []string, environment ...string) func(*testing.T, conformConfig) (conformRun, error) {
	return func(t *testing.T, c conformConfig) (conformRun, error) {
		text, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		process := exec.CommandContext(t.Context(), line[0], append(line[1:len(line):len(line)], string(text))...)
		process.Env = append(os.Environ(), environment...)
		process.Stderr = t.Output()
		out, err := process.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := process.Start(); err != nil {
			return nil, err
		}
		r := &processRun{said: make(chan string, 1024), process: process}
		go func() {
			defer close(r.said)
			lines := bufio.NewScanner(out)
			for lines.Scan() {
				r.said <- lines.Text()
			}
		}()
		return r, nil
	}
}

func (r *processRun) lines() <-chan string { return r.said }

// stop asks the process to end, as a service manager does. What it said until then stays to be read.
func (r *processRun) stop() error {
	if err := r.process.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	slow := time.AfterFunc(conformWait, func() { _ = r.process.Process.Kill() })
	defer slow.Stop()
	var left []string
	for line := range r.said { // to its end: only then may Wait close the pipe
		left = append(left, line)
	}
	r.said = make(chan string, len(left))
	for _, line := range left {
		r.said <- line
	}
	close(r.said)
	return r.process.Wait()
}
