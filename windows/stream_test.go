package windows

import (
	"cmp"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"streamcanary/schemas"
)

var (
	seedFlag   = flag.Uint64("seed", 1, "first seed of the random tests")
	roundsFlag = flag.Int("rounds", 8, "seeds that each random test runs")
)

// eachSeed runs a random test for some seeds, and names the seed in what fails.
func eachSeed(t *testing.T, run func(t *testing.T, r *rand.Rand)) {
	t.Helper()
	for i := range *roundsFlag {
		seed := *seedFlag + uint64(i)
		ok := t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { run(t, rand.New(rand.NewPCG(seed, 0))) })
		if !ok {
			t.Fatalf("failed: go test ./windows -run %s -seed %d -rounds 1", t.Name(), seed)
		}
	}
}

// errorMetric, latencyMetric, tokensMetric and gauge are metrics as analysis has them, kept plain.
type errorMetric struct{}

func (errorMetric) Key() string                  { return "error" }
func (errorMetric) Stream() Stream               { return Stream{Kind: Serving} }
func (errorMetric) Columns() (Columns, []string) { return ColError, nil }
func (errorMetric) Keeps() Keep                  { return KeepSlices }
func (errorMetric) Reduce(rows Rows, cell *Cell) {
	for i, f := range rows.Flags[:rows.Len] {
		countRow(rows, cell, i, f&FlagError != 0)
	}
}

func countRow(rows Rows, cell *Cell, i int, hit bool) {
	k := int64(0)
	if hit {
		k = 1
	}
	cell.N, cell.K = cell.N+1, cell.K+k
	if rows.Slice != nil {
		s := &cell.Slices[rows.Slice[i]]
		s.N, s.K = s.N+1, s.K+k
	}
}

type latencyMetric struct{}

func (latencyMetric) Key() string                  { return "latency" }
func (latencyMetric) Stream() Stream               { return Stream{Kind: Serving} }
func (latencyMetric) Columns() (Columns, []string) { return ColLatency | ColTimeout, nil }
func (latencyMetric) Keeps() Keep                  { return KeepHist }
func (latencyMetric) Reduce(rows Rows, cell *Cell) {
	for i, x := range rows.Latency[:rows.Len] {
		if math.IsNaN(x) && rows.Flags[i]&FlagTimeout == 0 {
			continue
		}
		rows.Tally.Add(BucketOf(x))
		cell.N++
	}
	rows.Tally.Flush(cell)
}

type tokensMetric struct{}

func (tokensMetric) Key() string                  { return "tokens>50" }
func (tokensMetric) Stream() Stream               { return Stream{Kind: Serving} }
func (tokensMetric) Columns() (Columns, []string) { return 0, []string{"score", "tokens"} }
func (tokensMetric) Keeps() Keep                  { return 0 }
func (tokensMetric) Reduce(rows Rows, cell *Cell) {
	for i := range rows.Len {
		if x := rows.Values[1][i]; !math.IsNaN(x) {
			countRow(rows, cell, i, x > 50)
		}
	}
}

// scoreMetric adds scores up.
type scoreMetric struct{}

const scoreCap = 3.0

func (scoreMetric) Key() string                  { return "mean:score" }
func (scoreMetric) Stream() Stream               { return Stream{Kind: Serving} }
func (scoreMetric) Columns() (Columns, []string) { return 0, []string{"score"} }
func (scoreMetric) Keeps() Keep                  { return KeepSums | KeepSlices }
func (scoreMetric) Reduce(rows Rows, cell *Cell) {
	for i, x := range rows.Values[0][:rows.Len] {
		if !math.IsNaN(x) {
			cell.AddValue(&rows, i, SumUnits(x, scoreCap))
		}
	}
}

type gauge struct{ of string }

func (g gauge) Key() string                  { return g.of + ">0.9" }
func (gauge) Stream() Stream                 { return Stream{Kind: Resources} }
func (g gauge) Columns() (Columns, []string) { return ColSample, []string{g.of} }
func (gauge) Keeps() Keep                    { return KeepSlices }
func (gauge) Reduce(rows Rows, cell *Cell) {
	for i, x := range rows.Sample[:rows.Len] {
		countRow(rows, cell, i, x > 0.9)
	}
}

// stream is what a random test reads: a log per partition, and the plan.
type stream struct {
	plan        Plan
	partitions  []Partition
	carries     [][]schemas.Kind
	logs        [][]schemas.Event // by partition, in its order
	spreadMs    int64             // how far events are out of order
	lagMs       int64             // Limits.MaxLagMs; 0: as by default, which the streams don't reach
	predictions []schemas.Event
}

// shape is what a generated stream may hold.
type shape struct {
	partitions int   // of each kind; 0: one log with everything
	byID       bool  // keyed by id, else anywhere
	clean      bool  // in time order: nothing is late
	many       int   // predictions
	paceMs     int64 // between them, at most; 60 if 0
}

func randomPlan(r *rand.Rand) Plan {
	p := Plan{
		Rollout: "r", Epoch: 3, Model: "ranker", Baseline: "v1", Canary: "v2",
		WidthMs:    []int64{1, 250, 700, 1000, 3000}[r.IntN(5)],
		LatenessMs: []int64{0, 1, 500, 1700, 4000}[r.IntN(5)],
		FromMs:     []int64{0, -20_001, 3_333}[r.IntN(3)],
		Metrics:    []Metric{errorMetric{}, latencyMetric{}, gauge{"cpu"}, tokensMetric{}, gauge{"memory"}, scoreMetric{}},
	}
	p.Outcomes = append(p.Outcomes, []OutcomePlan{{Name: "click", WithinMs: 2_000}, {Name: "buy", WithinMs: 9_000}, {Name: "at-once", WithinMs: 0}}[:r.IntN(4)]...)
	dressPlan(&p)
	return p
}

// dressPlan asks for more in some plans. What it asks for, as what dressEvent adds, follows from what is there: so it takes nothing from
// the random numbers of seeds that once found something.
func dressPlan(p *Plan) {
	mix := hashOf(fmt.Append(nil, p.WidthMs, p.LatenessMs, p.FromMs, len(p.Outcomes)))
	for i := range p.Outcomes {
		p.Outcomes[i].Cap = []float64{0, 2.5, 40}[(mix>>8+uint64(i))%3]
	}
	p.Segments = []*SegmentPlan{nil, {Most: 1}, {Most: 4}, {Most: MaxSegments}, {List: []string{"d", "b", "nobody"}}}[mix>>16%5]
	p.Health = mix>>24&1 == 0
	if mix>>40%3 > 0 {
		p.Exhibits = testExhibits(p.Outcomes)
	}
	p.Where = [][Arms]schemas.Where{{}, {}, {Baseline: {Host: "host*"}}, {Baseline: {Host: "h*3"}, Canary: {Segment: "*"}}, {Canary: {Host: "*o*t*", Region: "eu-*t"}},
		{Baseline: {Region: "*u*"}, Canary: {Host: "host4"}}}[mix>>32%6]
}

func dressEvent(e *schemas.Event) {
	mix := hashOf(e.ID, e.Version, e.Name, e.EventID, fmt.Append(nil, e.TimeMs, e.Attempt))
	switch e.Kind {
	case schemas.KindOutcome:
		e.Value = []float64{1, 1, 0.3, 7.25, -2, 0, 1e300, -1e300}[mix%8]
	case schemas.KindPrediction:
		e.HasScore, e.Score = mix%5 > 0, float64(mix>>8%1000)/100-5
		e.Segment = []byte([]string{"", "a", "b", "c", "d", "d", "d", "e", "f"}[mix>>20%9])
		e.Code = []byte([]string{"", "", "503", "no model"}[mix>>36%4])
		e.Region = []byte([]string{"", "eu-west", "eu-east", "us-east"}[mix>>28%4])
	}
}

func newStream(r *rand.Rand, with shape) *stream {
	s := &stream{plan: randomPlan(r)}
	s.spreadMs = s.plan.LatenessMs*3/2 + int64(r.IntN(1_000))
	if with.clean {
		s.spreadMs = 0
	}
	if with.partitions == 0 && !with.clean {
		s.lagMs = []int64{0, 1, 700, 3_000, 8_500}[r.IntN(5)]
	}
	s.makePartitions(with)
	type placed struct {
		at    int64
		where int
		event schemas.Event
	}
	var all []placed
	put := func(e schemas.Event) {
		delay := int64(0)
		dressEvent(&e)
		if s.spreadMs > 0 && r.IntN(3) == 0 {
			delay = r.Int64N(s.spreadMs + 1)
		}
		all = append(all, placed{e.TimeMs + delay, s.placeOf(r, with, &e), e})
	}
	s.addPredictions(r, with, put)
	s.addOutcomes(r, with, put)
	s.addSamples(r, with, put)
	slices.SortStableFunc(all, func(a, b placed) int { return int(a.at - b.at) })
	for _, p := range all {
		s.logs[p.where] = append(s.logs[p.where], p.event)
	}
	if s.plan.Health && !with.clean {
		s.spoil()
	}
	return s
}

// spoil puts events that can't be read between others; not among the first ones, which have to agree before they are taken.
func (s *stream) spoil() {
	for place, log := range s.logs {
		var spoilt []schemas.Event
		for i := range log {
			spoilt = append(spoilt, log[i])
			if mix := hashOf(log[i].ID, log[i].Name, fmt.Append(nil, i)); i > 2*Beginning && mix%9 == 0 {
				spoilt = append(spoilt, schemas.Event{TimeMs: int64(mix >> 40), Model: []byte([]string{"", "", "ranker", "another"}[mix>>8%4])})
			}
		}
		s.logs[place] = spoilt
	}
}

func (s *stream) makePartitions(with shape) {
	if with.partitions == 0 {
		s.partitions, s.carries = []Partition{{"log", 0}}, [][]schemas.Kind{kinds[:]}
	}
	for i, kind := range kinds {
		for n := range with.partitions {
			s.partitions = append(s.partitions, Partition{[]string{"p", "o", "s"}[i], int32(n)})
			s.carries = append(s.carries, []schemas.Kind{kind})
		}
	}
	s.logs = make([][]schemas.Event, len(s.partitions))
}

func (s *stream) placeOf(r *rand.Rand, with shape, e *schemas.Event) int {
	if with.partitions == 0 {
		return 0
	}
	n := r.IntN(with.partitions)
	if with.byID {
		n = int(hashOf(e.ID, e.Host) % uint64(with.partitions))
	}
	return int(e.Kind-schemas.KindPrediction)*with.partitions + n
}

func hashOf(parts ...[]byte) uint64 {
	h := uint64(14695981039346656037)
	for _, p := range parts {
		for _, b := range p {
			h = (h ^ uint64(b)) * 1099511628211
		}
	}
	return h ^ h>>29
}

func (s *stream) addPredictions(r *rand.Rand, with shape, put func(schemas.Event)) {
	ms := s.plan.FromMs - 2_000
	for i := range with.many {
		ms += r.Int64N(cmp.Or(with.paceMs, 60))
		if r.IntN(200) == 0 {
			ms += r.Int64N(9_000)
		}
		e := schemas.Event{Kind: schemas.KindPrediction, TimeMs: ms, ID: fmt.Appendf(nil, "id%d", i), Model: []byte("ranker"), SampledBy: 1}
		dress(r, &e)
		s.predictions = append(s.predictions, e)
		put(e)
		for r.IntN(12) == 0 { // copies: the same, at another time, another attempt, another arm, in shadow
			again := e
			switch r.IntN(5) {
			case 0:
				again.TimeMs += r.Int64N(2 * (s.plan.LatenessMs + 3_000))
			case 1:
				again.Attempt, again.TimeMs = e.Attempt+1, e.TimeMs+r.Int64N(900)
			case 2:
				again.Version = []byte("v2")
			case 3:
				again.Shadow = true
			}
			if with.clean && again.TimeMs != e.TimeMs {
				continue
			}
			put(again)
			if r.IntN(2) == 0 {
				s.predictions = append(s.predictions, again)
			}
		}
	}
}

func dress(r *rand.Rand, e *schemas.Event) {
	e.Version = []byte([]string{"v1", "v1", "v1", "v2", "v2", "v3"}[r.IntN(6)])
	if r.IntN(30) == 0 {
		e.Model = []byte("another")
	}
	e.Error, e.Timeout, e.Shadow = r.IntN(10) == 0, r.IntN(20) == 0, r.IntN(15) == 0
	if r.IntN(6) > 0 {
		e.HasLatency, e.LatencyMs = true, math.Exp(r.NormFloat64()*2)
	}
	if r.IntN(3) > 0 {
		e.Values = []schemas.Value{{Name: []byte("ttft"), Number: 1}, {Name: []byte("tokens"), Number: float64(r.IntN(100))}}
	}
	if r.IntN(3) > 0 {
		e.Unit = fmt.Appendf(nil, "user%d", r.IntN(60))
	}
	if r.IntN(3) > 0 {
		e.Host = fmt.Appendf(nil, "host%d", r.IntN(9))
	}
	if r.IntN(40) == 0 {
		e.SampledBy = 10
	}
}

func (s *stream) addOutcomes(r *rand.Rand, with shape, put func(schemas.Event)) {
	names := []string{"click", "click", "buy", "at-once", "unheard-of"}
	for _, p := range s.predictions {
		for r.IntN(3) == 0 {
			delay := []int64{0, 2_000, 2_001, 9_000, 9_001, -s.plan.LatenessMs, -s.plan.LatenessMs - 1,
				r.Int64N(3_000), r.Int64N(14_000), -r.Int64N(2*s.plan.LatenessMs + 1)}[r.IntN(10)]
			e := schemas.Event{Kind: schemas.KindOutcome, TimeMs: p.TimeMs + delay, ID: p.ID, Name: []byte(names[r.IntN(5)]), Value: 1}
			switch r.IntN(8) {
			case 0:
				e.Model = p.Model
			case 1:
				e.Model, e.Version = p.Model, p.Version
			case 2:
				e.ID = fmt.Appendf(nil, "nobody%d", r.IntN(100))
			case 3:
				e.EventID = fmt.Appendf(nil, "e%d", r.IntN(3))
			}
			put(e)
			if r.IntN(8) == 0 {
				if !with.clean { // where copies differ in time, how long they are remembered shows
					e.TimeMs += r.Int64N(2) * r.Int64N(5_000)
				}
				put(e)
			}
		}
	}
}

func (s *stream) addSamples(r *rand.Rand, with shape, put func(schemas.Event)) {
	ms := s.plan.FromMs - 500
	for range with.many / 4 {
		ms += r.Int64N(4 * cmp.Or(with.paceMs, 60))
		put(schemas.Event{
			Kind: schemas.KindSample, TimeMs: ms, Model: []byte("ranker"), Version: []byte([]string{"v1", "v2", "v3"}[r.IntN(3)]),
			Host: fmt.Appendf(nil, "host%d", r.IntN(9)), Name: []byte([]string{"cpu", "memory", "gpu"}[r.IntN(3)]), Value: r.Float64(),
		})
	}
}

// result is what a reading of a stream gave.
type result struct {
	parts  map[Key]string // non-marks, canonical bytes
	merged []string
	digest string
	counts Counts
}

// reading is how a stream is read.
type reading struct {
	r     *rand.Rand
	batch int // events of one partition in a row, at most
	seal  bool
}

func (s *stream) stage(t *testing.T) *Stage {
	t.Helper()
	stage := NewStage(Limits{MaxLagMs: s.lagMs})
	for i, at := range s.partitions {
		if got := stage.AddPartition(at, s.carries[i]...); got != i {
			t.Fatalf("AddPartition(%v) = %d, want %d", at, got, i)
		}
	}
	if err := stage.SetPlan(s.plan); err != nil {
		t.Fatal(err)
	}
	return stage
}

func (s *stream) merger() *Merger {
	return NewMerger(&s.plan, s.carrying(schemas.KindPrediction), s.carrying(schemas.KindSample))
}

func (s *stream) carrying(kind schemas.Kind) []Partition {
	var list []Partition
	for i, at := range s.partitions {
		if slices.Contains(s.carries[i], kind) {
			list = append(list, at)
		}
	}
	return list
}

// read reads the stream in some interleaving, and checks what must hold of every reading.
func (s *stream) read(t *testing.T, how reading) result {
	t.Helper()
	stage, m := s.stage(t), s.merger()
	got := result{parts: map[Key]string{}}
	var digest Digest
	take := func() {
		for _, p := range stage.Sealed() {
			got.keep(t, p)
			if err := m.Add(p.Key, p.Part); err != nil {
				t.Fatal(err)
			}
		}
		got.next(m, &digest)
	}
	s.interleave(how, make([]int, len(s.logs)), func(place, offset int) {
		add(t, stage, place, &s.logs[place][offset], offset)
		if how.r.IntN(5) == 0 {
			take()
		}
	})
	stage.Finish(how.seal)
	take()
	m.Finish()
	got.next(m, &digest)
	got.digest, got.counts = digest.Sum(), stage.Counts()
	return got
}

func (got *result) keep(t *testing.T, p SealedPart) {
	t.Helper()
	if p.Part.IsMark() {
		return
	}
	if _, twice := got.parts[p.Key]; twice {
		t.Fatalf("part %v is sealed twice", p.Key)
	}
	got.parts[p.Key] = string(PartBytes(nil, p.Part))
}

func (got *result) next(m *Merger, digest *Digest) {
	for p := m.Next(); p != nil; p = m.Next() {
		got.merged = append(got.merged, string(PartBytes(nil, p)))
		digest.Part(p)
	}
}

// interleave visits what is left of every log, in some order of the partitions.
func (s *stream) interleave(how reading, from []int, visit func(place, offset int)) {
	at := slices.Clone(from)
	for {
		var left []int
		for i := range s.logs {
			if at[i] < len(s.logs[i]) {
				left = append(left, i)
			}
		}
		if len(left) == 0 {
			return
		}
		place := left[how.r.IntN(len(left))]
		for range 1 + how.r.IntN(how.batch) {
			if at[place] < len(s.logs[place]) {
				visit(place, at[place])
				at[place]++
			}
		}
	}
}

// clonePart returns a copy that shares no memory.
func clonePart(p *Part) *Part {
	c := *p
	for arm := range Arms {
		c.Cells[arm] = slices.Clone(p.Cells[arm])
		for i := range c.Cells[arm] {
			c.Cells[arm][i].Hist = slices.Clone(c.Cells[arm][i].Hist)
		}
		c.Traffic[arm].Units = slices.Clone(c.Traffic[arm].Units)
		c.Traffic[arm].Hosts = slices.Clone(c.Traffic[arm].Hosts)
		c.Traffic[arm].Regions = slices.Clone(c.Traffic[arm].Regions)
	}
	c.Exemplars = slices.Clone(p.Exemplars)
	for i := range c.Exemplars {
		c.Exemplars[i] = slices.Clone(c.Exemplars[i])
	}
	c.Segments = slices.Clone(p.Segments)
	for i := range c.Segments {
		for arm := range Arms {
			c.Segments[i].Cells[arm] = slices.Clone(p.Segments[i].Cells[arm])
			for at := range c.Segments[i].Cells[arm] {
				c.Segments[i].Cells[arm][at].Hist = slices.Clone(p.Segments[i].Cells[arm][at].Hist)
			}
		}
	}
	return &c
}

func add(t *testing.T, stage *Stage, place int, e *schemas.Event, offset int) Class {
	t.Helper()
	return addStamped(t, stage, place, e, offset, 0)
}

// addStamped adds an event that its broker has stamped with a time: 0, it didn't.
func addStamped(t *testing.T, stage *Stage, place int, e *schemas.Event, offset int, appendMs int64) Class {
	t.Helper()
	c := cloneEvent(e)
	if e.Kind == schemas.KindUnknown && len(e.Model) == 0 {
		stage.CountInvalid(place, e.Kind, int64(offset))
		return Invalid
	}
	class, err := stage.Add(place, &c, int64(offset), appendMs)
	if err != nil && e.Kind != schemas.KindUnknown {
		t.Fatal(err)
	}
	for _, b := range [][]byte{c.ID, c.Model, c.Version, c.Host, c.Unit, c.Name, c.EventID, c.Code, c.Segment} {
		for i := range b {
			b[i] = 'x' // the memory is the caller's again
		}
	}
	return class
}
