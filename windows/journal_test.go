package windows

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"streamcanary/schemas"
)

var update = flag.Bool("update", false, "rewrite golden files")

// samplePart is a part with something in every field.
func samplePart() (Key, *Part) {
	s := Stream{Kind: Serving}
	p := &Part{Stream: s, StartMs: -7_000, Metrics: []string{"error", "latency"}, Overflow: true}
	p.Cells[Baseline] = []Cell{
		{N: 900, K: 3, Slices: [Slices]SliceCount{{N: 450, K: 1}, {N: 225, K: 2}, {N: 100}, {N: 50}, {N: 40}, {N: 20}, {N: 10}, {N: 5}}},
		{N: 6, Hist: []Bucket{{ZeroBucket, 1}, {-3, 2}, {361, 1}, {TopBucket, 2}}},
	}
	p.Cells[Canary] = []Cell{{N: 10, K: 10}, {N: 1, Hist: []Bucket{{0, 1}}}}
	p.Traffic[Baseline] = Traffic{
		Events: 901, Served: 900, Late: 2, SampledMin: 1, SampledMax: 10, Slices: [Slices]int64{450, 225, 100, 50, 40, 20, 10, 5},
		Units: []UnitSight{{1, 2}, {math.MaxUint64, math.MaxUint64}}, Hosts: []HostCount{{"", 4, 0}, {"a\xff", 1, 1}, {"b", 2, 0}},
	}
	p.Traffic[Canary] = Traffic{Events: 10, Served: 10, SampledMin: 1, SampledMax: 1, UnitsFull: true}
	return Key{Rollout: "ranker-42", Epoch: 7, Plan: "0123", Partition: Partition{"predictions", 3}, Stream: s, StartMs: -7_000}, p
}

// samplePartWithAll is a part with something in every field that only some parts have; outcomes parts have others than serving ones.
func samplePartWithAll(kind PartKind) (Key, *Part) {
	key, p := samplePart()
	p.Cells[Baseline][0].Sum, p.Cells[Baseline][0].Squares = -7*SumUnit, 20*SumUnit
	p.Cells[Baseline][0].Slices[2].Sum = 99*SumUnit + 1
	p.Segments = []Segment{{Name: ""}, {Name: "a\xff"}, {Name: "b"}}
	for arm := range Arms {
		for i := range p.Segments {
			p.Segments[i].Cells[arm] = make([]Cell, 2)
		}
		first, second := &p.Segments[0], &p.Segments[1]
		first.Served[arm], second.Served[arm] = 3, p.Traffic[arm].Served-3
		for at, c := range p.Cells[arm] {
			c.Slices = [Slices]SliceCount{}
			second.Cells[arm][at] = c
		}
		first.Cells[arm][0].N, first.Cells[arm][0].Sum = 2, -SumUnit
		second.Cells[arm][0].N -= 2
		second.Cells[arm][0].Sum += SumUnit
		second.Cells[arm][0].K = min(second.Cells[arm][0].K, 2)
		first.Cells[arm][0].K = p.Cells[arm][0].K - second.Cells[arm][0].K
	}
	p.Cells[Canary][0].K = 3
	p.Segments[0].Cells[Canary][0].K = 1
	p.Bad = 17
	p.Traffic[Canary].Regions = []HostCount{{"", 1, 0}, {"eu\xff", 5, 0}, {"us", 2, 0}}
	p.Others, p.OtherHosts = []HostCount{{"", 1, 0}, {"v3\xff", 5, 0}}, []HostCount{{"", 1, 0}, {OtherHost("v3\xff", "h"), 5, 0}}
	p.Exemplars = [][]Exemplar{nil, {{"a", "503", "de", math.Inf(1), false}, {"b\xff", "", "", -3, false}}, nil, {{"a", "", "", 0, false}}}
	if kind == Outcomes {
		p.Exemplars = [][]Exemplar{{{"b\xff", "503", "de", 0, true}, {"a", "", "", 0, false}}}
		p.Traffic, p.Bad, p.Others, p.OtherHosts = [Arms]Traffic{}, 0, nil, nil
		p.Stream, p.Overflow = Stream{Kind: Outcomes, Name: "buy"}, false
		for i := range p.Segments {
			p.Segments[i].Served = [Arms]int64{}
		}
		p.Gap, p.Source = [Arms]JoinGap{{5, 1}, {0, 2}}, JoinGap{1, 1 << 40}
		key.Stream = p.Stream
	}
	return key, p
}

// randomParts returns the parts of a generated stream.
func randomParts(t testing.TB, r *rand.Rand) []SealedPart {
	s := newStream(r, shape{partitions: 1, many: 60})
	stage := NewStage(Limits{})
	for i, at := range s.partitions {
		stage.AddPartition(at, s.carries[i]...)
	}
	if err := stage.SetPlan(s.plan); err != nil {
		t.Fatal(err)
	}
	for place, log := range s.logs {
		for i := range log {
			if _, err := stage.Add(place, &log[i], int64(i), 0); err != nil && log[i].Kind != schemas.KindUnknown {
				t.Fatal(err)
			}
		}
	}
	stage.Finish(true)
	return stage.Sealed()
}

func roundTrip(t testing.TB, key Key, part *Part) []byte {
	t.Helper()
	b, err := EncodePart(key, part)
	if err != nil {
		t.Fatal(err)
	}
	gotKey, got, err := DecodePart(b)
	if err != nil {
		t.Fatal(err)
	}
	if gotKey != key {
		t.Errorf("key\n got %+v\nwant %+v", gotKey, key)
	}
	if !bytes.Equal(PartBytes(nil, got), PartBytes(nil, part)) || strings.Join(got.Metrics, "|") != strings.Join(part.Metrics, "|") {
		t.Errorf("part\n got %+v\nwant %+v", got, part)
	}
	again, err := EncodePart(gotKey, got)
	if err != nil || !bytes.Equal(b, again) {
		t.Errorf("encoded again it is other bytes (%v)", err)
	}
	return b
}

func TestJournalRoundTrip(t *testing.T) {
	key, part := samplePart()
	b := roundTrip(t, key, part)
	_, got, err := DecodePart(b)
	if err != nil || !reflect.DeepEqual(got, part) {
		t.Errorf("part\n got %+v\nwant %+v (%v)", got, part, err)
	}
	for _, kind := range []PartKind{Serving, Outcomes} {
		key, part := samplePartWithAll(kind)
		if _, got, err := DecodePart(roundTrip(t, key, part)); err != nil || !reflect.DeepEqual(got, part) {
			t.Errorf("part\n got %+v\nwant %+v (%v)", got, part, err)
		}
	}
	eachSeed(t, func(t *testing.T, r *rand.Rand) {
		for i, p := range randomParts(t, r) {
			if i%5 == 0 {
				roundTrip(t, p.Key, p.Part)
			}
		}
	})
}

func TestJournalTruncated(t *testing.T) {
	key, part := samplePartWithAll(Serving)
	b := roundTrip(t, key, part)
	for n := range b {
		if _, _, err := DecodePart(b[:n]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("the first %d of %d bytes: %v, want ErrDamaged", n, len(b), err)
		}
	}
	if _, _, err := DecodePart(append(bytes.Clone(b), b...)); !errors.Is(err, ErrDamaged) {
		t.Errorf("two records: %v, want ErrDamaged", err)
	}
}

// TestJournalDamaged: no changed byte goes unnoticed.
func TestJournalDamaged(t *testing.T) {
	key, part := samplePart()
	b := roundTrip(t, key, part)
	for i := range b {
		for _, flip := range []byte{1, 0x80, 0xff} {
			damaged := bytes.Clone(b)
			damaged[i] ^= flip
			if _, _, err := DecodePart(damaged); !errors.Is(err, ErrDamaged) {
				t.Fatalf("byte %d changed by %#x: %v, want ErrDamaged", i, flip, err)
			}
		}
	}
}

// TestJournalForeign: other Arrow streams are refused by what they say, even with a sum that fits.
func TestJournalForeign(t *testing.T) {
	sealed := func(b []byte) []byte { return binary.LittleEndian.AppendUint64(b, xxhash.Sum64(b)) }
	key, part := samplePart()
	good := roundTrip(t, key, part)
	key, part = samplePartWithAll(Serving)
	more := roundTrip(t, key, part)
	for name, b := range map[string][]byte{
		"nothing":         sealed(nil),
		"no arrow":        sealed([]byte("streamcanary")),
		"two streams":     sealed(append(bytes.Clone(good[:len(good)-sumBytes]), good[:len(good)-sumBytes]...)),
		"without its end": sealed(good[:len(good)-sumBytes-9]),
		"another format":  sealed(bytes.Replace(good[:len(good)-sumBytes], []byte(journalVersion), []byte("streamcanary part 9"), 1)),
		"another kind":    sealed(bytes.Replace(good[:len(good)-sumBytes], []byte("serving"), []byte("serfing"), 1)),
		"another column":  sealed(bytes.Replace(good[:len(good)-sumBytes], []byte("@served"), []byte("@swerve"), 1)),
		"another extra":   sealed(bytes.Replace(more[:len(more)-sumBytes], []byte("@bad"), []byte("@mad"), 1)),
		"other segments":  sealed(bytes.Replace(more[:len(more)-sumBytes], []byte("@segment"), []byte("@segmond"), 1)),
		"another order":   sealed(bytes.Replace(more[:len(more)-sumBytes], []byte("@segment_served"), []byte("error.slice_sums"), 1)),
		"another key":     sealed(bytes.Replace(good[:len(good)-sumBytes], []byte("start_ms"), []byte("start_us"), 1)),
		"a start of text": sealed(bytes.Replace(good[:len(good)-sumBytes], []byte("-7000"), []byte("-7o00"), 1)),
	} {
		if _, _, err := DecodePart(b); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for name, change := range map[string]func(*Key, *Part){
		"another stream":      func(k *Key, p *Part) { k.Stream.Name = "x" },
		"another start":       func(k *Key, p *Part) { k.StartMs++ },
		"no kind":             func(k *Key, p *Part) { k.Stream.Kind, p.Kind = 0, 0 },
		"unnamed cells":       func(k *Key, p *Part) { p.Metrics = nil },
		"more hits than rows": func(k *Key, p *Part) { p.Cells[Canary][0].K = 11 },
		"negative":            func(k *Key, p *Part) { p.Cells[Canary][0].N = -1 },
		"buckets out of order": func(k *Key, p *Part) {
			p.Cells[Baseline][1].Hist[0].Index = 5
		},
		"an empty bucket":    func(k *Key, p *Part) { p.Cells[Baseline][1].Hist[0].Count = 0 },
		"a sum that is off":  func(k *Key, p *Part) { p.Cells[Baseline][1].N = 7 },
		"slices":             func(k *Key, p *Part) { p.Cells[Baseline][0].Slices[1].K = 226 },
		"served":             func(k *Key, p *Part) { p.Traffic[Canary].Served = 11 },
		"sampled by":         func(k *Key, p *Part) { p.Traffic[Canary].SampledMin = math.NaN() },
		"units out of order": func(k *Key, p *Part) { p.Traffic[Baseline].Units[0].Unit = math.MaxUint64 },
		"hosts out of order": func(k *Key, p *Part) { p.Traffic[Baseline].Hosts[1].Host = "c" },
	} {
		key, part := samplePart()
		change(&key, part)
		if _, err := EncodePart(key, part); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
}

func TestEncodeRefusesExtras(t *testing.T) {
	for name, row := range map[string]struct {
		kind   PartKind
		change func(*Part)
	}{
		"a sum beyond the caps":        {Serving, func(p *Part) { p.Cells[Baseline][1].Sum = 6*SumUnit + 1 }},
		"one below":                    {Serving, func(p *Part) { p.Cells[Baseline][1].Sum = -6*SumUnit - 1 }},
		"the smallest of all":          {Serving, func(p *Part) { p.Cells[Baseline][1].Sum = math.MinInt64 }},
		"negative squares":             {Serving, func(p *Part) { p.Cells[Baseline][1].Squares = -1 }},
		"squares beyond the caps":      {Serving, func(p *Part) { p.Cells[Baseline][1].Squares = 6*SumUnit + 1 }},
		"a slice beyond the caps":      {Serving, func(p *Part) { p.Cells[Baseline][0].Slices[2].Sum = 100*SumUnit + 1 }},
		"segments out of order":        {Serving, func(p *Part) { p.Segments[2].Name = "a" }},
		"a segment twice":              {Serving, func(p *Part) { p.Segments[2].Name = p.Segments[1].Name }},
		"a segment with slices":        {Serving, func(p *Part) { p.Segments[1].Cells[Baseline][0].Slices[0].N = 1 }},
		"a segment with a cell less":   {Serving, func(p *Part) { p.Segments[2].Cells[Canary] = nil }},
		"a segment's odd cell":         {Serving, func(p *Part) { p.Segments[1].Cells[Canary][1].N = -1 }},
		"segments that are less":       {Serving, func(p *Part) { p.Segments[1].Cells[Baseline][0].N-- }},
		"segments with other hits":     {Serving, func(p *Part) { p.Segments[1].Cells[Baseline][0].K-- }},
		"segments with other sums":     {Serving, func(p *Part) { p.Segments[1].Cells[Baseline][0].Sum-- }},
		"segments with other squares":  {Serving, func(p *Part) { p.Segments[1].Cells[Baseline][0].Squares-- }},
		"segments that served more":    {Serving, func(p *Part) { p.Segments[1].Served[Canary]++ }},
		"segments that served none":    {Serving, func(p *Part) { p.Segments[0].Served[Canary], p.Segments[1].Served[Canary] = -1, 11 }},
		"segments that served":         {Outcomes, func(p *Part) { p.Segments[1].Served[Canary]++ }},
		"segments of samples":          {Outcomes, func(p *Part) { p.Kind, p.Gap, p.Source = Resources, [Arms]JoinGap{}, JoinGap{} }},
		"a join gap of samples":        {Outcomes, func(p *Part) { p.Kind, p.Segments = Resources, nil }},
		"a join gap of predictions":    {Serving, func(p *Part) { p.Gap[Canary].Matched = 1 }},
		"a join gap below none":        {Outcomes, func(p *Part) { p.Source.Unmatched = -1 }},
		"an arm's join gap below none": {Outcomes, func(p *Part) { p.Gap[Canary].Matched = -1 }},
		"bad outcomes":                 {Outcomes, func(p *Part) { p.Bad = 1 }},
		"regions out of order":         {Serving, func(p *Part) { p.Traffic[Canary].Regions[1].Host = "v" }},
		"a region below none":          {Serving, func(p *Part) { p.Traffic[Canary].Regions[1].Events = -1 }},
		"regions of the baseline":      {Serving, func(p *Part) { p.Traffic[Baseline].Regions = p.Traffic[Canary].Regions }},
		"regions of outcomes":          {Outcomes, func(p *Part) { p.Traffic[Canary].Regions = []HostCount{{"eu", 1, 0}} }},
		"other versions twice":         {Serving, func(p *Part) { p.Others[1].Host = "" }},
		"a late other version":         {Serving, func(p *Part) { p.Others[1].Late = 1 }},
		"an other version below none":  {Serving, func(p *Part) { p.Others[1].Events = -1 }},
		"their hosts twice":            {Serving, func(p *Part) { p.OtherHosts[1].Host = "" }},
		"a late host of one":           {Serving, func(p *Part) { p.OtherHosts[1].Late = 1 }},
		"their hosts in outcomes":      {Outcomes, func(p *Part) { p.OtherHosts = []HostCount{{OtherHost("v3", "h"), 1, 0}} }},
		"other versions of outcomes":   {Outcomes, func(p *Part) { p.Others = []HostCount{{"v3", 1, 0}} }},
		"less than no bad events":      {Serving, func(p *Part) { p.Bad = -1 }},
		"a prediction without id":      {Serving, func(p *Part) { pairOf(p)[1].ID = "" }},
		"a rank that is none":          {Serving, func(p *Part) { pairOf(p)[1].Rank = math.NaN() }},
		"named out of order":           {Serving, func(p *Part) { pairOf(p)[1].Rank = math.Inf(1); pairOf(p)[0].Rank = 1 }},
		"an id twice":                  {Serving, func(p *Part) { pairOf(p)[1].ID = "a" }},
		"one aside of predictions":     {Serving, func(p *Part) { pairOf(p)[1].Aside = true }},
		"exemplars of samples":         {Outcomes, func(p *Part) { p.Kind, p.Segments, p.Gap, p.Source = Resources, nil, [Arms]JoinGap{}, JoinGap{} }},
		"more exemplars than are kept": {Serving, func(p *Part) { p.Exemplars[0] = manyExemplars() }},
	} {
		key, part := samplePartWithAll(row.kind)
		row.change(part)
		key.Stream = part.Stream
		if _, err := EncodePart(key, part); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
}

func manyExemplars() (list []Exemplar) {
	for i := range MaxExemplars + 1 {
		list = append(list, Exemplar{ID: "id", Rank: float64(-i)})
		list[i].ID += string(rune('a' + i))
	}
	return list
}

// FuzzDecodePart: no input makes it panic, and what it takes it can write again.
func FuzzDecodePart(f *testing.F) {
	key, part := samplePart()
	b, err := EncodePart(key, part)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	for _, kind := range []PartKind{Serving, Outcomes} {
		b, err := EncodePart(samplePartWithAll(kind))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	parts := randomParts(f, rand.New(rand.NewPCG(1, 0)))
	for _, p := range parts[:min(3, len(parts))] {
		b, err := EncodePart(p.Key, p.Part)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		key, part, err := DecodePart(b)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("%v, want ErrDamaged", err)
			}
			return
		}
		roundTrip(t, key, part)
	})
}

// TestPartBytesGolden pins the bytes that the digest stands on.
func TestPartBytesGolden(t *testing.T) {
	_, part := samplePart()
	outcome := &Part{Stream: Stream{Kind: Outcomes, Name: "click"}, StartMs: 1_760_000_400_000}
	outcome.Cells[Baseline], outcome.Cells[Canary] = []Cell{{N: 2, K: 1}}, []Cell{{}}
	var d Digest
	d.Part(part)
	d.Part(outcome)
	d.Floats([]float64{0.1 + 0.2, math.Copysign(0, -1), math.Inf(-1), math.NaN(), 1e300})
	lines := []string{hex.EncodeToString(PartBytes(nil, part)), hex.EncodeToString(PartBytes(nil, outcome)), d.Sum()}
	for _, kind := range []PartKind{Serving, Outcomes} {
		_, all := samplePartWithAll(kind)
		lines = append(lines, hex.EncodeToString(PartBytes(nil, all)))
	}
	got := strings.Join(append(lines, ""), "\n")
	const file = "testdata/digest.golden"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s\n got %s\nwant %s", file, got, want)
	}
}

// TestDigest: rounding hides what is below 1e-9, framing what is where; reading the sum changes nothing.
func TestDigest(t *testing.T) {
	sum := func(add func(*Digest)) string {
		var d Digest
		add(&d)
		d.Sum()
		d.Floats([]float64{7})
		return d.Sum()
	}
	floats := func(xs ...float64) string { return sum(func(d *Digest) { d.Floats(xs) }) }
	for _, row := range []struct {
		name string
		a, b string
		same bool
	}{
		{"rounding", floats(0.3), floats(0.1 + 0.2), true},
		{"beyond rounding", floats(0.3), floats(0.300000001), false},
		{"zeros", floats(0), floats(math.Copysign(0, -1)), true},
		{"a small negative", floats(0), floats(-1e-12), true},
		{"infinities", floats(math.Inf(1)), floats(math.Inf(-1)), false},
		{"NaN", floats(math.NaN()), floats(math.Float64frombits(0x7ff8000000000002)), true},
		{"frames", floats(1, 2), sum(func(d *Digest) { d.Floats([]float64{1}); d.Floats([]float64{2}) }), false},
		{"nothing", sum(func(d *Digest) {}), floats(), false},
	} {
		if (row.a == row.b) != row.same {
			t.Errorf("%s: %s and %s, want the same: %v", row.name, row.a, row.b, row.same)
		}
	}
}

// pairOf is the first list of a part that names two predictions.
func pairOf(p *Part) []Exemplar {
	return p.Exemplars[slices.IndexFunc(p.Exemplars, func(list []Exemplar) bool { return len(list) == 2 })]
}

// TestPartBytesSeesAll: every count of a part is in its canonical bytes, and the metrics' names are not.
func TestPartBytesSeesAll(t *testing.T) {
	_, base := samplePart()
	want := PartBytes(nil, base)
	changes := map[string]func(*Part){
		"kind": func(p *Part) { p.Kind = Resources }, "name": func(p *Part) { p.Name = "x" }, "start": func(p *Part) { p.StartMs++ },
		"overflow": func(p *Part) { p.Overflow = false }, "n": func(p *Part) { p.Cells[Canary][0].N++ }, "k": func(p *Part) { p.Cells[Canary][0].K-- },
		"bucket": func(p *Part) { p.Cells[Canary][1].Hist[0].Index++ }, "count": func(p *Part) { p.Cells[Canary][1].Hist[0].Count++ },
		"slice n": func(p *Part) { p.Cells[Canary][1].Slices[7].N++ }, "slice k": func(p *Part) { p.Cells[Canary][1].Slices[7].K++ },
		"events": func(p *Part) { p.Traffic[0].Events++ }, "served": func(p *Part) { p.Traffic[0].Served++ }, "late": func(p *Part) { p.Traffic[0].Late++ },
		"min": func(p *Part) { p.Traffic[0].SampledMin = 2 }, "max": func(p *Part) { p.Traffic[0].SampledMax = 11 },
		"slices": func(p *Part) { p.Traffic[0].Slices[3]++ }, "unit": func(p *Part) { p.Traffic[0].Units[0].Unit++ }, "pick": func(p *Part) { p.Traffic[0].Units[0].Pick++ },
		"host": func(p *Part) { p.Traffic[0].Hosts[2].Host = "x" }, "host events": func(p *Part) { p.Traffic[0].Hosts[2].Events++ },
		"host late": func(p *Part) { p.Traffic[0].Hosts[2].Late++ }, "full": func(p *Part) { p.Traffic[1].UnitsFull = false },
	}
	for name, change := range changes {
		_, p := samplePart()
		if change(p); bytes.Equal(PartBytes(nil, p), want) {
			t.Errorf("another %s gives the same bytes", name)
		}
	}
	extras := map[string]func(*Part){
		"sum": func(p *Part) { p.Cells[Canary][1].Sum++ }, "squares": func(p *Part) { p.Cells[Canary][1].Squares++ },
		"slice sum": func(p *Part) { p.Cells[Canary][1].Slices[7].Sum++ }, "bad": func(p *Part) { p.Bad++ },
		"segment": func(p *Part) { p.Segments[1].Name = "a" }, "no segment": func(p *Part) { p.Segments = p.Segments[:2] },
		"segment served": func(p *Part) { p.Segments[1].Served[Canary]++ }, "segment n": func(p *Part) { p.Segments[2].Cells[Canary][1].N++ },
		"segment sum": func(p *Part) { p.Segments[2].Cells[Canary][1].Sum++ }, "segment squares": func(p *Part) { p.Segments[2].Cells[Canary][1].Squares++ },
		"matched": func(p *Part) { p.Gap[Canary].Matched++ }, "unmatched": func(p *Part) { p.Gap[Canary].Unmatched++ },
		"id": func(p *Part) { pairOf(p)[0].ID = "c" }, "code": func(p *Part) { pairOf(p)[0].Code = "" }, "its segment": func(p *Part) { pairOf(p)[0].Segment = "" },
		"rank": func(p *Part) { pairOf(p)[0].Rank++; pairOf(p)[1].Rank++ }, "aside": func(p *Part) { pairOf(p)[1].Aside = true },
		"one less":       func(p *Part) { p.Exemplars[len(p.Exemplars)-1] = nil },
		"exhibit":        func(p *Part) { p.Exemplars = append([][]Exemplar{nil}, p.Exemplars...) },
		"source matched": func(p *Part) { p.Source.Matched++ }, "source unmatched": func(p *Part) { p.Source.Unmatched++ },
	}
	for _, kind := range []PartKind{Serving, Outcomes} {
		_, base := samplePartWithAll(kind)
		want := PartBytes(nil, base)
		for name, change := range extras {
			_, p := samplePartWithAll(kind)
			if change(p); bytes.Equal(PartBytes(nil, p), want) {
				t.Errorf("another %s gives the same bytes", name)
			}
		}
	}
	_, p := samplePart()
	if p.Metrics = []string{"a", "b"}; !bytes.Equal(PartBytes(nil, p), want) {
		t.Error("the metrics' names are in the bytes")
	}
}
