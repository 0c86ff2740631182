package windows

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"streamcanary/schemas"
)

// TestReadingsAgree: any batching, any interleaving of partitions and topics, so any order of prediction and outcome, gives the same.
func TestReadingsAgree(t *testing.T) {
	eachSeed(t, func(t *testing.T, r *rand.Rand) {
		s := newStream(r, shape{partitions: 1 + r.IntN(4), byID: r.IntN(2) == 0, many: 400})
		for _, seal := range []bool{false, true} {
			want := s.read(t, reading{r: r, batch: 1, seal: seal})
			for _, batch := range []int{1, 7, 100, 5_000} {
				got := s.read(t, reading{r: r, batch: batch, seal: seal})
				compareResults(t, fmt.Sprintf("seal=%v, batches of %d", seal, batch), got, want)
			}
		}
	})
}

func compareResults(t *testing.T, what string, got, want result) {
	t.Helper()
	compareParts(t, got.merged, want.merged)
	if got.digest != want.digest {
		t.Errorf("%s: digest %s, want %s", what, got.digest, want.digest)
	}
	if got.counts != want.counts {
		t.Errorf("%s: counts\n got %v\nwant %v", what, got.counts, want.counts)
	}
	for key, part := range want.parts {
		if got.parts[key] != part {
			t.Errorf("%s: part %v\n got %x\nwant %x", what, key, got.parts[key], part)
		}
	}
	if len(got.parts) != len(want.parts) {
		t.Errorf("%s: %d parts, want %d", what, len(got.parts), len(want.parts))
	}
}

// TestSplitByID: where nothing is late, the same events in one log, in one partition of each kind, and split by id into
// eight, give the same merged parts.
func TestSplitByID(t *testing.T) {
	eachSeed(t, func(t *testing.T, r *rand.Rand) {
		one := newStream(r, shape{partitions: 0, clean: true, many: 500})
		for _, seal := range []bool{false, true} {
			want := one.read(t, reading{r: r, batch: 50, seal: seal})
			if late := want.counts.Of(schemas.KindPrediction, Late); late != 0 {
				t.Fatalf("%d late predictions in a stream in order", late)
			}
			for _, n := range []int{1, 8} {
				got := one.split(n).read(t, reading{r: r, batch: 50, seal: seal})
				compareParts(t, got.merged, want.merged)
				// How long copies of outcomes are remembered follows each partition's watermark: that class may differ, the parts don't.
				got.counts[schemas.KindOutcome], want.counts[schemas.KindOutcome] = [numClasses]int64{}, [numClasses]int64{}
				if got.digest != want.digest || got.counts != want.counts {
					t.Errorf("seal=%v, %d partitions: digest %s %v, want %s %v", seal, n, got.digest, got.counts, want.digest, want.counts)
				}
			}
		}
	})
}

// split deals a single log out to n partitions of each kind, by id.
func (s *stream) split(n int) *stream {
	with := shape{partitions: n, byID: true}
	out := &stream{plan: s.plan}
	out.makePartitions(with)
	for _, e := range s.logs[0] {
		place := out.placeOf(rand.New(rand.NewPCG(0, 0)), with, &e)
		out.logs[place] = append(out.logs[place], e)
	}
	return out
}

// TestDigestSeesEveryEvent: changing one counted event changes the digest.
func TestDigestSeesEveryEvent(t *testing.T) {
	r := rand.New(rand.NewPCG(*seedFlag, 0))
	s := newStream(r, shape{partitions: 2, clean: true, many: 120})
	how := func() reading { return reading{r: r, batch: 10, seal: true} }
	before := s.read(t, how()).digest
	changed := 0
	for place, log := range s.logs {
		for i := range log {
			e := &s.logs[place][i]
			old := *e
			if e.Kind != schemas.KindPrediction || string(e.Model) != "ranker" || string(e.Version) == "v3" || e.TimeMs < s.plan.FromMs+s.plan.WidthMs {
				continue
			}
			if classes := newTwin(s, true).events; classes[s.eventAt(place, i)].class != Counted {
				continue
			}
			changed++
			e.Error = !e.Error
			if s.read(t, how()).digest == before {
				t.Errorf("partition %v offset %d: the digest doesn't see its error flag", s.partitions[place], i)
			}
			*e = old
		}
	}
	if changed < 20 {
		t.Errorf("%d events were changed, want 20 or more", changed)
	}
}

// eventAt returns the place of an event in the list of all.
func (s *stream) eventAt(place, offset int) int {
	for _, log := range s.logs[:place] {
		offset += len(log)
	}
	return offset
}

// TestTotals: at any time, every event is in one class of its kind.
func TestTotals(t *testing.T) {
	eachSeed(t, func(t *testing.T, r *rand.Rand) {
		s := newStream(r, shape{partitions: 2, many: 300})
		stage := s.stage(t)
		var added [len(kinds) + 1]int64
		s.interleave(reading{r: r, batch: 9}, make([]int, len(s.logs)), func(place, offset int) {
			e := &s.logs[place][offset]
			add(t, stage, place, e, offset)
			added[e.Kind]++
			checkTotals(t, stage, added[:])
		})
		stage.Finish(true)
		checkTotals(t, stage, added[:])
		counts := stage.Counts()
		for _, k := range kinds {
			if n := counts.Of(k, Pending); n != 0 {
				t.Errorf("%d of kind %v are pending though all is sealed", n, k)
			}
		}
	})
}

func checkTotals(t *testing.T, stage *Stage, added []int64) {
	t.Helper()
	counts := stage.Counts()
	for _, k := range kinds {
		sum := int64(0)
		for _, class := range ClassesOf(k) {
			sum += counts.Of(k, class)
			if counts.Of(k, class) < 0 {
				t.Fatalf("%d of kind %v are %v", counts.Of(k, class), k, class)
			}
		}
		if sum != added[k] || counts.Total(k) != added[k] {
			t.Fatalf("%v: %d in its classes, %d in all, want %d: %v", k, sum, counts.Total(k), added[k], counts[k])
		}
	}
}

// simplePlan has windows of a second, two seconds of lateness, and clicks within ten.
func simplePlan() Plan {
	return Plan{
		Rollout: "r", Epoch: 1, Model: "ranker", Baseline: "v1", Canary: "v2", WidthMs: 1_000, LatenessMs: 2_000,
		Metrics: []Metric{errorMetric{}, gauge{"cpu"}}, Outcomes: []OutcomePlan{{Name: "click", WithinMs: 10_000}},
	}
}

func simpleStage(t *testing.T, limits Limits, plans ...Plan) *Stage {
	t.Helper()
	s := NewStage(limits)
	s.AddPartition(Partition{"p", 0}, schemas.KindPrediction)
	s.AddPartition(Partition{"p", 1}, schemas.KindPrediction)
	s.AddPartition(Partition{"o", 0}, schemas.KindOutcome)
	s.AddPartition(Partition{"s", 0}, schemas.KindSample)
	for _, p := range plans {
		if err := s.SetPlan(p); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func prediction(id, version string, ms int64) *schemas.Event {
	return &schemas.Event{Kind: schemas.KindPrediction, TimeMs: ms, ID: []byte(id), Model: []byte("ranker"), Version: []byte(version), SampledBy: 1}
}

func click(id string, ms int64) *schemas.Event {
	return &schemas.Event{Kind: schemas.KindOutcome, TimeMs: ms, ID: []byte(id), Name: []byte("click"), Value: 1}
}

// TestAhead: rule 6 where the broker stamps its time.
func TestAhead(t *testing.T) {
	s := simpleStage(t, Limits{MaxAheadMs: 500}, simplePlan())
	for i, row := range []struct {
		ms, append int64
		want       Class
		err        error
	}{
		{10_000, 10_000, Counted, nil},
		{10_500, 10_000, Counted, nil},
		{10_501, 10_000, Invalid, ErrAhead},
		{99_000_000, 99_000_000, Counted, nil}, // a jump that the broker's clock confirms
		{MaxTimeMs + 1, 1, Invalid, ErrTime},
		{-MaxTimeMs - 1, 0, Invalid, ErrTime},
	} {
		got, err := s.Add(0, prediction(fmt.Sprint(i), "v1", row.ms), int64(i), row.append)
		if got != row.want || !errors.Is(err, row.err) || errors.Is(err, ErrUnconfirmed) {
			t.Errorf("time %d appended at %d: %v, %v, want %v, %v", row.ms, row.append, got, err, row.want, row.err)
		}
	}
	if _, err := s.Add(0, click("a", 1), 9, 0); err == nil {
		t.Error("a partition of predictions takes an outcome")
	}
}

// TestIdle: an idle partition stops holding the others back, and its old events are late then.
func TestIdle(t *testing.T) {
	s := simpleStage(t, Limits{}, simplePlan())
	add(t, s, 1, prediction("old", "v1", 1_500), 0)
	for i := range 10 {
		add(t, s, 0, prediction(fmt.Sprint(i), "v1", int64(1_000*i+1_500)), i)
	}
	ends := func() map[Key]bool {
		got := map[Key]bool{}
		for _, p := range s.Sealed() {
			got[Key{Partition: p.Key.Partition, Stream: p.Key.Stream, StartMs: p.Key.StartMs}] = p.Part.IsMark()
		}
		return got
	}
	serving := func(p int32, start int64) Key {
		return Key{Partition: Partition{"p", p}, Stream: Stream{Kind: Serving}, StartMs: start}
	}
	got := ends()
	if _, ok := got[serving(1, 1_000)]; ok || len(got) == 0 {
		t.Errorf("before the ruling %v are sealed", got)
	}
	s.Idle(1, true)
	got = ends()
	if mark, ok := got[serving(1, 1_000)]; !ok || mark {
		t.Errorf("after the ruling %v are sealed, not the window of the idle partition's event", got)
	}
	if mark, ok := got[serving(1, 7_000)]; !ok || !mark {
		t.Errorf("after the ruling %v are sealed, without a mark as far as the active partition is", got)
	}
	if class := add(t, s, 1, prediction("late", "v1", 7_999), 1); class != Late {
		t.Errorf("an event behind the ruling is %v, want late", class)
	}
	add(t, s, 0, prediction("on", "v1", 20_000), 10)
	if _, ok := ends()[serving(1, 16_000)]; ok {
		t.Error("a partition that has been read again is still carried along")
	}
	add(t, s, 2, click("8", 9_500), 0)
	s.Idle(2, true)
	s.Idle(1, true)
	s.Idle(3, true)
	add(t, s, 0, prediction("on and on", "v1", 60_000), 11)
	got = ends()
	if _, ok := got[Key{Partition: Partition{"s", 0}, Stream: Stream{Kind: Resources}, StartMs: 57_000}]; !ok {
		t.Errorf("where all partitions of samples are idle, they follow the predictions: %v are sealed", got)
	}
	if mark, ok := got[Key{Partition: Partition{"p", 0}, Stream: Stream{Kind: Outcomes, Name: "click"}, StartMs: 9_000}]; !ok || mark {
		t.Errorf("where all partitions of outcomes are idle, they follow the predictions: %v are sealed", got)
	}
	if c := s.Counts(); c.Of(schemas.KindOutcome, Matched) != 1 {
		t.Errorf("outcomes %v, want one matched", c[schemas.KindOutcome])
	}
}

// TestBounds: at a bound the windows that may miss something say so.
func TestBounds(t *testing.T) {
	overflows := func(s *Stage, kind PartKind) (n int) {
		s.Finish(true)
		for _, p := range s.Sealed() {
			if p.Part.Kind == kind && p.Part.Overflow {
				n++
			}
		}
		return n
	}
	t.Run("pending predictions", func(t *testing.T) {
		s := simpleStage(t, Limits{PendingPredictions: 3}, simplePlan())
		for i := range 5 {
			add(t, s, 0, prediction(fmt.Sprint(i), "v1", int64(1_000*i)), i)
		}
		if got := s.Stats(); got.LostPredictions != 2 || got.Predictions != 3 {
			t.Errorf("%+v, want 3 remembered and 2 lost", got)
		}
		if n := overflows(s, Outcomes); n != 2 {
			t.Errorf("%d outcome parts say that the index was full, want 2", n)
		}
	})
	t.Run("room is made of what nobody needs", func(t *testing.T) {
		plan := simplePlan()
		plan.Outcomes = nil
		s := simpleStage(t, Limits{PendingPredictions: 50}, plan)
		for i := range 5_000 {
			add(t, s, 0, prediction(fmt.Sprint(i), "v1", int64(100*i)), i)
		}
		if got := s.Stats(); got.LostPredictions != 0 {
			t.Errorf("%+v, want none lost: 30 are within lateness and a window", got)
		}
	})
	t.Run("waiting outcomes", func(t *testing.T) {
		s := simpleStage(t, Limits{PendingOutcomes: 2}, simplePlan())
		for i := range 30 {
			add(t, s, 0, prediction(fmt.Sprint(i), "v1", int64(1_000*i)), i)
		}
		for i := range 4 {
			add(t, s, 2, click(fmt.Sprint(20), int64(20_000+i)), i)
		}
		if got := s.Stats(); got.LostOutcomes != 2 || got.Waiting != 2 {
			t.Errorf("%+v, want 2 waiting and 2 lost", got)
		}
		if n := overflows(s, Outcomes); n != 13 {
			t.Errorf("%d outcome parts say that outcomes were lost, want those from 10 to 22 s", n)
		}
	})
}

// TestPlans: what SetPlan and RemovePlan accept, and what becomes of the events.
func TestPlans(t *testing.T) {
	s := simpleStage(t, Limits{})
	if class := addStamped(t, s, 0, prediction("a", "v1", 50_000), 0, 50_000); class != Other {
		t.Errorf("without a plan: %v, want other", class)
	}
	early, late := simplePlan(), simplePlan()
	late.FromMs, late.Rollout = 50_001, "late"
	if err := s.SetPlan(early); !errors.Is(err, ErrPassed) {
		t.Errorf("a plan from 0 at 50 s: %v, want ErrPassed", err)
	}
	if err := s.SetPlan(late); err != nil {
		t.Error(err)
	}
	if err := s.SetPlan(late); err != nil {
		t.Errorf("the same again: %v", err)
	}
	second := late
	second.Rollout = "second"
	if err := s.SetPlan(second); err == nil {
		t.Error("a second rollout of a model is accepted")
	}
	if class := addStamped(t, s, 0, prediction("b", "v1", 50_999), 1, 50_999); class != Other {
		t.Errorf("before the first whole window: %v, want other", class)
	}
	if class := addStamped(t, s, 0, prediction("c", "v1", 51_000), 2, 51_000); class != Counted {
		t.Errorf("in the first window: %v, want counted", class)
	}
	next := late
	next.Epoch, next.FromMs = 2, 70_000
	if err := s.SetPlan(next); err != nil {
		t.Error(err)
	}
	counts := s.Counts()
	if got := counts.Of(schemas.KindPrediction, Other); got != 3 {
		t.Errorf("%d are other after the epoch's end, want 3", got)
	}
	addStamped(t, s, 0, prediction("d", "v1", 70_000), 3, 70_000)
	s.Finish(true)
	for _, p := range s.Sealed() {
		if p.Key.Epoch != 2 {
			t.Errorf("a part of epoch %d is sealed after its end", p.Key.Epoch)
		}
	}
}

func TestPlanCheck(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*Plan)
	}{
		{"no width", func(p *Plan) { p.WidthMs = 0 }},
		{"negative lateness", func(p *Plan) { p.LatenessMs = -1 }},
		{"too many open windows", func(p *Plan) { p.WidthMs, p.LatenessMs = 1, 1<<17 }},
		{"one version", func(p *Plan) { p.Canary = "v1" }},
		{"a start out of range", func(p *Plan) { p.FromMs = MaxTimeMs + 1 }},
		{"a width out of range", func(p *Plan) { p.WidthMs = MaxSpanMs + 1 }},
		{"a metric twice", func(p *Plan) { p.Metrics = []Metric{errorMetric{}, errorMetric{}} }},
		{"a sample without a name", func(p *Plan) { p.Metrics = []Metric{nameless{}} }},
		{"an outcome twice", func(p *Plan) { p.Outcomes = []OutcomePlan{{Name: "click", WithinMs: 1}, {Name: "click", WithinMs: 2}} }},
		{"a negative within", func(p *Plan) { p.Outcomes = []OutcomePlan{{Name: "click", WithinMs: -1}} }},
		{"too many outcomes", func(p *Plan) {
			for i := range MaxOutcomes + 1 {
				p.Outcomes = append(p.Outcomes, OutcomePlan{Name: fmt.Sprint(i), WithinMs: 1})
			}
		}},
		{"a negative cap", func(p *Plan) { p.Outcomes[0].Cap = -1 }},
		{"an infinite cap", func(p *Plan) { p.Outcomes[0].Cap = math.Inf(1) }},
		{"no cap", func(p *Plan) { p.Outcomes[0].Cap = math.NaN() }},
		{"an exhibit twice", func(p *Plan) { p.Exhibits = append(testExhibits(nil), testExhibits(nil)[1]) }},
		{"an exhibit of no outcome", func(p *Plan) { p.Exhibits = testExhibits([]OutcomePlan{{Name: "nobody's"}}) }},
		{"an exhibit without ranks", func(p *Plan) { p.Exhibits = []Exhibit{{Key: "error", Stream: serving}} }},
		{"an exhibit of samples", func(p *Plan) { p.Exhibits = []Exhibit{{Key: "cpu", Stream: resources}} }},
		{"no segments", func(p *Plan) { p.Segments = &SegmentPlan{} }},
		{"too many segments", func(p *Plan) { p.Segments = &SegmentPlan{Most: MaxSegments + 1} }},
		{"an empty segment", func(p *Plan) { p.Segments = &SegmentPlan{List: []string{"a", ""}} }},
		{"a segment twice", func(p *Plan) { p.Segments = &SegmentPlan{List: []string{"a", "b", "a"}} }},
		{"a pattern of another kind", func(p *Plan) { p.Where[Canary].Host = "pod-[0-9]" }},
		{"a list that is too long", func(p *Plan) {
			p.Segments = &SegmentPlan{}
			for i := range MaxSegments + 1 {
				p.Segments.List = append(p.Segments.List, fmt.Sprint(i))
			}
		}},
	} {
		p := simplePlan()
		row.change(&p)
		if err := p.Check(); err == nil {
			t.Errorf("%s: accepted", row.name)
		}
		if err := NewStage(Limits{}).SetPlan(p); err == nil {
			t.Errorf("%s: accepted by SetPlan", row.name)
		}
	}
}

type nameless struct{ gauge }

func (nameless) Columns() (Columns, []string) { return ColSample, nil }

// TestPlanHash: what shapes the parts is in the hash, and nothing else.
func TestPlanHash(t *testing.T) {
	base := simplePlan()
	seen := map[string]string{base.Hash(): "the plan"}
	for _, row := range []struct {
		name   string
		change func(*Plan)
		same   bool
	}{
		{"rollout", func(p *Plan) { p.Rollout = "x" }, true},
		{"epoch", func(p *Plan) { p.Epoch = 9 }, true},
		{"model", func(p *Plan) { p.Model = "x" }, false},
		{"baseline", func(p *Plan) { p.Baseline = "x" }, false},
		{"canary", func(p *Plan) { p.Canary = "x" }, false},
		{"width", func(p *Plan) { p.WidthMs = 2_000 }, false},
		{"lateness", func(p *Plan) { p.LatenessMs = 2_001 }, false},
		{"from", func(p *Plan) { p.FromMs = 1 }, false},
		{"metrics", func(p *Plan) { p.Metrics = p.Metrics[:1] }, false},
		{"order of metrics", func(p *Plan) { p.Metrics = []Metric{p.Metrics[1], p.Metrics[0]} }, false},
		{"within", func(p *Plan) { p.Outcomes = []OutcomePlan{{Name: "click", WithinMs: 10_001}} }, false},
		{"outcomes", func(p *Plan) { p.Outcomes = nil }, false},
		{"cap", func(p *Plan) { p.Outcomes[0].Cap = 500 }, false},
		{"greater cap", func(p *Plan) { p.Outcomes[0].Cap = 501 }, false},
		{"health", func(p *Plan) { p.Health = true }, false},
		{"segments", func(p *Plan) { p.Segments = &SegmentPlan{Most: 20} }, false},
		{"number of segments", func(p *Plan) { p.Segments = &SegmentPlan{Most: 21} }, false},
		{"list of segments", func(p *Plan) { p.Segments = &SegmentPlan{List: []string{"a", "b"}} }, false},
		{"order of the list", func(p *Plan) { p.Segments = &SegmentPlan{List: []string{"b", "a"}} }, true},
		{"part of the baseline", func(p *Plan) { p.Where[Baseline].Host = "a" }, false},
		{"part of the canary", func(p *Plan) { p.Where[Canary].Host = "a" }, false},
		{"part by segment", func(p *Plan) { p.Where[Canary].Segment = "a" }, false},
		{"part by region", func(p *Plan) { p.Where[Canary].Region = "a" }, false},
		{"part of each", func(p *Plan) { p.Where[Baseline].Host, p.Where[Canary].Host = "a", "a" }, false},
		{"exhibits", func(p *Plan) { p.Exhibits = testExhibits(p.Outcomes) }, false},
		{"number of exhibits", func(p *Plan) { p.Exhibits = testExhibits(p.Outcomes)[1:] }, false},
		{"order of exhibits", func(p *Plan) { p.Exhibits = testExhibits(p.Outcomes); slices.Reverse(p.Exhibits) }, false},
		{"key of an exhibit", func(p *Plan) { p.Exhibits = testExhibits(p.Outcomes); p.Exhibits[0].Key = "x" }, false},
		{"exhibit of those that have it", func(p *Plan) { p.Exhibits = testExhibits(p.Outcomes); p.Exhibits[3].Lacks = false }, false},
		{"part of each, and exhibits", func(p *Plan) { p.Exhibits = testExhibits(p.Outcomes); p.Where[Canary].Host = "a" }, false},
		{"number beside a list", func(p *Plan) { p.Segments = &SegmentPlan{List: []string{"b", "a"}, Most: 3} }, true},
	} {
		p := simplePlan()
		row.change(&p)
		other, known := seen[p.Hash()]
		if known != row.same {
			t.Errorf("another %s: the same hash as %s: %v, want %v", row.name, other, known, row.same)
		}
		seen[p.Hash()] = row.name
	}
}

// TestPlanHashStays: of plans without what came later, so that journals of before go on. The hashes are those that were made before plans had Where.
func TestPlanHashStays(t *testing.T) {
	p := simplePlan()
	if got := p.Hash(); got != "8fc47dc03f356129ef8ad850501b7424" {
		t.Errorf("the plain plan: %s", got)
	}
	p.Health, p.Segments = true, &SegmentPlan{Most: 20}
	if got := p.Hash(); got != "7c5f8930f7662770738b1cc7b630aab3" {
		t.Errorf("with health and segments: %s", got)
	}
}

// TestTwoRollouts: what is sealed for one rollout doesn't depend on another, even if ids and outcomes are shared.
func TestTwoRollouts(t *testing.T) {
	eachSeed(t, func(t *testing.T, r *rand.Rand) {
		s := newStream(r, shape{partitions: 2, many: 200})
		other := randomPlan(r)
		other.Rollout, other.Model, other.FromMs = "other", "another", s.plan.FromMs
		alone := s.read(t, reading{r: r, batch: 5, seal: true})
		stage := s.stage(t)
		if err := stage.SetPlan(other); err != nil {
			t.Fatal(err)
		}
		both := result{parts: map[Key]string{}}
		s.interleave(reading{r: r, batch: 5}, make([]int, len(s.logs)), func(place, offset int) {
			add(t, stage, place, &s.logs[place][offset], offset)
		})
		stage.Finish(true)
		for _, p := range stage.Sealed() {
			if p.Key.Rollout == "r" {
				both.keep(t, p)
			}
		}
		for key, part := range alone.parts {
			if both.parts[key] != part {
				t.Errorf("part %v\n got %x\nwant %x", key, both.parts[key], part)
			}
		}
		if len(alone.parts) != len(both.parts) {
			t.Errorf("%d parts, want %d", len(both.parts), len(alone.parts))
		}
	})
}
