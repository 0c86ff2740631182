package windows

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"testing"

	"streamcanary/schemas"
)

// TestRestore: a stage that is lost at any place, and others that go on from its recovery and from each other's, seal what one
// undisturbed stage would have.
func TestRestore(t *testing.T) {
	for name, with := range map[string]shape{
		"one log":       {partitions: 0, many: 400, paceMs: 300},
		"one of each":   {partitions: 1, many: 400, paceMs: 300},
		"three of each": {partitions: 3, byID: true, many: 400, paceMs: 300},
	} {
		t.Run(name, func(t *testing.T) {
			eachSeed(t, func(t *testing.T, r *rand.Rand) {
				s := newStream(r, with)
				for range 2 {
					s.loseAndRestore(t, r)
				}
			})
		})
	}
}

// TestRestoreAgain runs a seed that found a hole once: a restored stage learnt units from windows that it didn't hand out.
func TestRestoreAgain(t *testing.T) {
	r := rand.New(rand.NewPCG(160, 0))
	s := newStream(r, shape{partitions: 1, many: 400, paceMs: 300})
	for range 2 {
		s.loseAndRestore(t, r)
	}
}

// relay is a stream read by one stage after another.
type relay struct {
	*stream
	r       *rand.Rand
	stage   *Stage
	at      []int // offset that is read next
	journal []SealedPart
	merged  string
	holes   bool  // parts were lost
	refused int64 // that stood behind a lost one
}

// loseAndRestore reads a stream to a random place, and on from there twice: undisturbed, and with new stages.
func (s *stream) loseAndRestore(t *testing.T, r *rand.Rand) {
	t.Helper()
	total := 0
	for _, log := range s.logs {
		total += len(log)
	}
	one := &relay{stream: s, r: r, stage: s.stage(t), at: make([]int, len(s.logs))}
	one.run(t, r.IntN(total), r.IntN(2) == 0)
	for p := range s.partitions {
		one.stage.Idle(p, false) // a ruling on wall time that only one of the two would know
	}
	one.collect(t)
	lost := len(one.journal)
	other := &relay{stream: s, r: r, stage: one.stage, journal: append([]SealedPart(nil), one.journal...)}
	other.restore(t)
	one.run(t, total, false)
	one.end(t)
	for range r.IntN(3) {
		other.run(t, r.IntN(total), false)
		other.collect(t)
		other.restore(t)
	}
	other.run(t, total, false)
	other.end(t)

	want, got := partsOf(one.journal[lost:]), partsOf(other.journal[lost:])
	for key, part := range want {
		if got[key] != part {
			t.Errorf("part %v\n got %x\nwant %x", key, got[key], part)
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			t.Errorf("part %v is sealed again", key)
		}
	}
	if one.merged != other.merged {
		t.Errorf("digest %s, want %s", other.merged, one.merged)
	}
}

// TestRestoreAfterAHole: where parts are lost on their way to the journal, and others get there behind them, what is counted again from the last recovery
// makes the journal whole.
func TestRestoreAfterAHole(t *testing.T) {
	refused := int64(0)
	eachSeed(t, func(t *testing.T, r *rand.Rand) {
		s := newStream(r, shape{partitions: 1 + r.IntN(2), byID: true, many: 400, paceMs: 300})
		total := 0
		for _, log := range s.logs {
			total += len(log)
		}
		one := &relay{stream: s, r: r, stage: s.stage(t), at: make([]int, len(s.logs))}
		one.run(t, total, false)
		one.end(t)
		other := &relay{stream: s, r: r, stage: s.stage(t), at: make([]int, len(s.logs)), holes: true}
		other.run(t, r.IntN(total), false)
		other.collect(t)
		for range 1 + r.IntN(3) {
			kept, from := other.stage.Recovery(), len(other.journal)
			other.run(t, r.IntN(total), false)
			other.collect(t)
			if more := len(other.journal) - from; more > 0 {
				lost := from + r.IntN(more)
				other.journal = append(other.journal[:lost], other.journal[lost+1:]...)
			}
			other.restoreFrom(t, kept)
		}
		other.run(t, total, false)
		other.end(t)
		if one.merged != other.merged {
			t.Errorf("digest %s, want %s; %d parts refused", other.merged, one.merged, other.refused)
		}
		refused += other.refused
	})
	if refused == 0 {
		t.Error("no part stood behind a lost one: this tests nothing")
	}
}

// run adds so many events, with rulings of idleness now and then.
func (y *relay) run(t *testing.T, events int, ruled bool) {
	t.Helper()
	y.interleave(reading{r: y.r, batch: 1 + y.r.IntN(40)}, y.at, func(place, offset int) {
		if events--; events < 0 {
			return
		}
		if ruled && y.r.IntN(40) == 0 {
			y.stage.Idle(y.r.IntN(len(y.partitions)), true)
		}
		add(t, y.stage, place, &y.logs[place][offset], offset)
		y.at[place] = offset + 1
		if y.r.IntN(60) == 0 {
			y.collect(t)
			y.stage.Recovery()
		}
	})
}

// collect puts what is sealed into the journal.
func (y *relay) collect(t *testing.T) {
	t.Helper()
	for _, p := range y.stage.Sealed() {
		y.journal = append(y.journal, SealedPart{p.Key, clonePart(p.Part)})
	}
}

// restore loses the stage, and starts another from its recovery.
func (y *relay) restore(t *testing.T) {
	t.Helper()
	y.restoreFrom(t, y.stage.Recovery())
}

func (y *relay) restoreFrom(t *testing.T, from Recovery) {
	t.Helper()
	b, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	var rec Recovery
	if err := json.Unmarshal(b, &rec); err != nil {
		t.Fatal(err)
	}
	y.stage, y.at = y.stream.stage(t), make([]int, len(y.logs))
	if err := y.stage.Restore(rec); err != nil {
		t.Fatal(err)
	}
	for _, src := range rec.Sources {
		for place, at := range y.partitions {
			if at == src.Partition && src.Offset != FromStart {
				y.at[place] = int(src.Offset)
			}
		}
	}
}

// end finishes the logs, and merges the journal.
func (y *relay) end(t *testing.T) {
	t.Helper()
	y.stage.Finish(true)
	y.collect(t)
	m := y.merger()
	var digest Digest
	var got result
	for _, p := range y.journal {
		if err := m.Add(p.Key, p.Part); err != nil && !(y.holes && errors.Is(err, ErrHole)) {
			t.Fatal(err)
		}
		got.next(m, &digest)
	}
	y.refused = m.Stats().Ahead
	m.Finish()
	got.next(m, &digest)
	y.merged = digest.Sum()
}

// partsOf returns the first part of every key, but for marks and units: a new stage reports units again, and
// a Merger takes the first sight of each.
func partsOf(journal []SealedPart) map[Key]string {
	parts := map[Key]string{}
	for _, p := range journal {
		if _, known := parts[p.Key]; known || p.Part.IsMark() {
			continue
		}
		plain := *p.Part
		for arm := range Arms {
			plain.Traffic[arm].Units = nil
		}
		parts[p.Key] = string(PartBytes(nil, &plain))
	}
	return parts
}

// TestRecoveryRewindsLittle: without outcomes, a recovery goes back some windows and latenesses; with them, three times `within` more.
func TestRecoveryRewindsLittle(t *testing.T) {
	for _, row := range []struct {
		name   string
		within int64
		wantMs int64 // at most so much before the end of the log
	}{
		{"no outcomes", -1, 12_000},
		{"at once", 0, 20_000},
		{"a minute", 60_000, 3*60_000 + 25_000},
	} {
		plan := simplePlan()
		if plan.Outcomes = nil; row.within >= 0 {
			plan.Outcomes = []OutcomePlan{{Name: "click", WithinMs: row.within}}
		}
		s := simpleStage(t, Limits{}, plan)
		for i := range 10_000 {
			ms := int64(100 * i)
			add(t, s, 0, prediction("a", "v1", ms), i)
			add(t, s, 1, prediction("a", "v1", ms), i)
			add(t, s, 2, click("a", ms), i)
		}
		for _, src := range s.Recovery().Sources {
			if back := 1_000_000 - 100*src.Offset; back > row.wantMs {
				t.Errorf("%s: partition %v is read again from %d ms before its end, want at most %d", row.name, src.Partition, back, row.wantMs)
			}
		}
	}
}

func TestRestoreRefuses(t *testing.T) {
	s := simpleStage(t, Limits{}, simplePlan())
	for i := range 100 {
		add(t, s, 0, prediction("a", "v1", int64(1_000*i)), i)
	}
	rec := s.Recovery()
	foreign := NewStage(Limits{})
	if err := foreign.Restore(rec); err == nil {
		t.Error("a stage without the partitions takes a recovery of them")
	}
	if err := s.Restore(rec); err == nil {
		t.Error("a stage that has read something takes a recovery")
	}
	for i := range rec.Sources {
		rec.Sources[i].HighMs[schemas.KindPrediction] = 5_000
	}
	rec.Marks = nil
	if err := simpleStage(t, Limits{}, simplePlan()).Restore(rec); !errors.Is(err, ErrPassed) {
		t.Errorf("a plan that the recovery doesn't have, from before it: %v, want ErrPassed", err)
	}
}
