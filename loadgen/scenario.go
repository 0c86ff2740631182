package loadgen

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// The two arms, in the order in which every per-arm array of this package has them.
const (
	Baseline = 0
	Canary   = 1
	Arms     = 2
)

// Bounds of a scenario; the parser refuses what is beyond them.
const (
	MaxText     = 64 << 10 // bytes of one scenario
	MaxOutcomes = 8        // names of outcomes
	MaxSamples  = 8        // names of samples
	MaxHosts    = 1000     // per arm
	MaxSegments = 200
	MaxFaults   = 64
	MaxSteps    = 256  // of the split
	MaxParts    = 16   // of a mixture of laws
	MaxRate     = 1e7  // requests per second
	MaxUsers    = 1e12 // distinct users
)

// MaxSession bounds a session's mean length: so much of them has to be made before the first event.
const MaxSession = 10 * time.Minute

// MaxDuration bounds how long a scenario lasts, and every span of time in it.
const MaxDuration = 400 * 24 * time.Hour

// A Scenario is a scenario file after parsing. Parse and Load make one; a caller may then change its exported
// fields (a live run sets StartMs to now), but not once a Generator or Counts uses it.
type Scenario struct {
	Name     string // of the file, without directory and ending
	Story    string // the file's first comment line
	Model    string
	StartMs  int64 // event time at which it begins, Unix milliseconds
	Duration time.Duration
	Seed     uint64
	Rate     Level // requests per second
	Split    []Step
	Units    Units
	RoundMs  float64 // latencies are rounded to multiples of it; 0: to microseconds
	Arms     [Arms]Arm
	Faults   []Fault // in the file's order, which is the order in which they apply
	Expect   Expect
}

// An Arm is how one version answers while no fault is on.
type Arm struct {
	Version       string
	Errors        Level
	ErrorLatency  *Law // how long an error takes; nil: as long as any answer
	Timeouts      Level
	TimeoutMs     float64 // the latency of a timeout; 0: it has none
	Latency       Law     // in milliseconds
	LatencyFactor Drift
	Score         *Score // what the model answers; nil: predictions have none
	Outcomes      []Outcome
	Hosts         int
	HostName      string    // what their names begin with; "": the version
	Segments      []Segment // shares sum to 1; nil: predictions have no segment
	Samples       []Sample
	Transport     Transport
}

// A Level is a number that may move over the day: a rate per second, or a share of 1.
type Level struct {
	Base  float64
	Drift Drift
}

// A Drift multiplies a level: by a sine (starting at its mean, rising) and by a trend, linear until it is there.
// The zero Drift leaves the level as it is.
type Drift struct {
	Amplitude, PeriodMs float64
	Trend, TrendMs      float64
}

// A Step is the canary's share of the traffic from a time on.
type Step struct {
	AtMs  float64 // since the start
	Share float64 // 0..1
}

// Units says what a unit (`unit` of a prediction) is. Without users and sessions predictions have none.
type Units struct {
	Users      float64 // size of the population; 0: none
	SessionOf  float64 // mean number of requests of a session; 0: none
	SessionGap float64 // mean milliseconds between two of them
	Sticky     bool    // one unit, one arm, as long as the split stays
	Phi        float64 // variance of an arm's counts over their binomial variance; 1: independent requests
	PhiOverMs  float64 // users only: counted over this long
}

// A Score is the model's answer: normal about Level, cut to 0..1. Whether a prediction fails doesn't depend on it.
type Score struct {
	Level Level
	Noise float64 // standard deviation
}

// An Outcome is what happens after some of the answered predictions.
type Outcome struct {
	Name  string
	Rate  Level
	Delay Law // milliseconds after the prediction
}

// A Segment is a share of the requests with a name.
type Segment struct {
	Name  string
	Share float64
}

// A Sample is a resource that every host of the arm reports: a stationary AR(1) series around Level, cut to 0..1.
type Sample struct {
	Name        string
	Level       Level
	Noise       float64 // standard deviation
	Correlation float64 // of one reading with the next of its host
	EveryMs     float64
}

// Transport is what happens between an event and its arrival.
type Transport struct {
	Delay          Law // of every copy
	Late           float64
	LateBy         Law // on top of Delay, for the share Late
	Duplicates     float64
	DuplicateAfter Law // on top of a Delay of its own, for the second copy
	Lost           float64
	Broken         float64 // share of copies whose bytes are cut off
}

// Change is what a fault does to a number.
type Change byte

// The changes. A share that leaves 0..1 is cut to it.
const (
	Add   Change = '+'
	Set   Change = '='
	Times Change = 'x'
)

// A Fault changes one thing of one arm or both from a time on. What is errors, timeouts, latency, silent, rate, score, or the name
// of an outcome or a sample.
type Fault struct {
	What    string
	Arms    [Arms]bool
	Change  Change
	By      float64 // shares of 1, milliseconds, or a factor
	Tail    bool    // latency: only of what is above the law's 95th percentile
	FromMs  float64 // since the start
	UntilMs float64 // +Inf where none is given
	OverMs  float64 // grows linearly to its full size for this long; 0: at once
	Text    string  // as written
}

// Expect is the answer that a judge with the default guardrails should come to, as the file states it.
type Expect struct {
	Verdict string   `json:"verdict"` // rollback, promote, hold, no-rollback
	Fail    []string `json:"fail"`    // guardrails whose harm is truly beyond the margin: one of them has to be the reason
	Pass    []string `json:"pass"`    // guardrails whose harm is truly within the margin
}

//go:embed scenarios/*.txt
var embedded embed.FS

// Names returns the names of the scenarios that come with the program, ascending.
func Names() []string {
	entries, err := fs.ReadDir(embedded, "scenarios")
	if err != nil {
		panic(fmt.Sprintf("list the embedded scenarios: %v", err))
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".txt"))
	}
	sort.Strings(names)
	return names
}

// Load returns the embedded scenario of that name, or parses the file at that path: whatever ends in ".txt" or holds a path
// separator is a path.
func Load(name string) (*Scenario, error) {
	if strings.HasSuffix(name, ".txt") || strings.ContainsRune(name, filepath.Separator) {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read scenario: %w", err)
		}
		return Parse(name, string(text))
	}
	text, err := embedded.ReadFile("scenarios/" + name + ".txt")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read scenario: unknown name %q%s; there are: %s; a path ends in .txt",
			name, nearestHint(name, Names()), strings.Join(Names(), ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("read scenario %q: %w", name, err)
	}
	return Parse(name+".txt", string(text))
}

// at returns the drift's factor t milliseconds after the start.
func (d Drift) at(t float64) float64 {
	f := 1.0
	if d.PeriodMs > 0 {
		f += d.Amplitude * sine(t/d.PeriodMs)
	}
	if d.TrendMs > 0 {
		f *= 1 + d.Trend*min(max(t/d.TrendMs, 0), 1)
	}
	return f
}

// stands says from when on the factor no longer changes; -Inf if it never does.
func (d Drift) stands() float64 {
	switch {
	case d.PeriodMs > 0 && d.Amplitude != 0:
		return math.Inf(1)
	case d.TrendMs > 0 && d.Trend != 0:
		return d.TrendMs
	}
	return math.Inf(-1)
}

// at returns the level t milliseconds after the start.
func (l Level) at(t float64) float64 { return l.Base * l.Drift.at(t) }

// durationMs is the scenario's length in milliseconds.
func (s *Scenario) durationMs() float64 { return float64(s.Duration) / float64(time.Millisecond) }
