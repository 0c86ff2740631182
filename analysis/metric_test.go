package analysis

import (
	"math"
	"reflect"
	"slices"
	"testing"

	"streamcanary/windows"
)

// kindSamples has guardrails of every metric kind, by the kind's name: TestMetrics fails for a kind without any.
var kindSamples = map[string][]string{
	"rate": {"a: rate error increase 0.5pp", "b: rate timeout above 5%", "c: rate cache_miss increase 1pp"},
	"latency": {"a: quantile 0.99 latency increase 20%", "b: quantile 0.9 latency above 50ms", "c: quantile 0.5 ttft_ms decrease 10%", "d: quantile 0.5 tokens below 3.25",
		"e: quantile 0.5 score decrease 0.02 buckets=0,1,1000", "f: distribution latency ks increase 20%", "g: distribution logit mann-whitney both any buckets=-8,8,100"},
	"mean":  {"a: mean tokens increase 10% from=prediction cap=30", "b: mean score decrease any from=prediction cap=1", "c: mean depth increase any from=sample cap=3"},
	"gauge": {"a: sample cpu 0.9 increase 5pp", "b: sample memory 0.95 above 50%"},
}

// TestMetrics holds every registered kind to what windows asks of a metric.
func TestMetrics(t *testing.T) {
	seen := map[string]string{}
	for _, kind := range metricKinds {
		samples := kindSamples[kind.name]
		if len(samples) == 0 {
			t.Errorf("kind %s has no sample guardrail in this test", kind.name)
		}
		for _, text := range samples {
			g := guardrail(text)
			needs := kind.needs(&g)
			if len(needs) == 0 {
				t.Errorf("%s doesn't feed %q", kind.name, text)
			}
			for _, other := range metricKinds {
				if other.name != kind.name && len(other.needs(&g)) > 0 {
					t.Errorf("%s and %s both feed %q", kind.name, other.name, text)
				}
			}
			for _, m := range needs {
				if by, taken := seen[m.Key()]; taken && by != kind.name {
					t.Errorf("key %s of %s is taken by %s", m.Key(), kind.name, by)
				}
				seen[m.Key()] = kind.name
				t.Run(kind.name+"/"+m.Key(), func(t *testing.T) { conforms(t, m) })
			}
		}
	}
}

// conforms checks one metric: its stream, and that the cell depends on the rows alone, not on how they are split or ordered.
func conforms(t *testing.T, m windows.Metric) {
	columns, names := m.Columns()
	switch m.Stream() {
	case windows.Stream{Kind: windows.Resources}:
		if len(names) != 1 || columns&windows.ColSample == 0 {
			t.Errorf("reads columns %b and %q: a gauge reads one sample", columns, names)
		}
	case windows.Stream{Kind: windows.Serving}:
		if columns == 0 && len(names) == 0 {
			t.Error("reads nothing")
		}
	default:
		t.Errorf("stream %v", m.Stream())
	}
	hist, sliced := m.Keeps()&windows.KeepHist != 0, m.Keeps()&windows.KeepSlices != 0
	rows := sampleRows(len(names), sliced)
	want := reduce(m, rows, rows.Len)
	if want.K > want.N || want.N > int64(rows.Len) || want.N == 0 {
		t.Fatalf("%d hits of %d of %d rows", want.K, want.N, rows.Len)
	}
	inHist := int64(0)
	for _, b := range want.Hist {
		inHist += int64(b.Count)
	}
	if hist && inHist != want.N || !hist && inHist != 0 {
		t.Errorf("%d values in the histogram of %d", inHist, want.N)
	}
	if sliced {
		var sum windows.SliceCount
		for _, s := range want.Slices {
			sum.N, sum.K, sum.Sum = sum.N+s.N, sum.K+s.K, sum.Sum+s.Sum
		}
		if sum != (windows.SliceCount{N: want.N, K: want.K, Sum: want.Sum}) {
			t.Errorf("slices add up to %v of %d, %d", sum, want.N, want.K)
		}
	}
	for _, size := range []int{1, 7, rows.Len - 1} {
		if got := reduce(m, rows, size); !reflect.DeepEqual(got, want) {
			t.Errorf("in batches of %d: %v, want %v", size, got, want)
		}
	}
	if got := reduce(m, reversed(rows), rows.Len); !reflect.DeepEqual(got, want) {
		t.Errorf("backwards: %v, want %v", got, want)
	}
	unsliced := rows
	unsliced.Slice = nil // the canary's rows
	if got := reduce(m, unsliced, rows.Len); got.Slices != [windows.Slices]windows.SliceCount{} || got.N != want.N {
		t.Errorf("without slices: %v", got)
	}
}

// sampleRows has every combination of flags with numbers at and around limits, none, and infinitely many digits.
func sampleRows(names int, sliced bool) windows.Rows {
	numbers := []float64{0, .5, .9, math.Nextafter(.9, 1), .95, 1, 3.25, math.Nextafter(3.25, 4), 50, math.Nextafter(50, 51), 1e9, math.NaN()}
	rows := windows.Rows{Tally: &windows.Tally{}, Values: make([][]float64, names)}
	for flags := range uint8(32) {
		for i, x := range numbers {
			rows.Latency = append(rows.Latency, x)
			rows.Flags = append(rows.Flags, flags)
			rows.Slice = append(rows.Slice, uint8(i%windows.Slices))
			for j := range rows.Values {
				rows.Values[j] = append(rows.Values[j], x)
			}
			if math.IsNaN(x) {
				x = .25
			}
			rows.Sample = append(rows.Sample, x)
			rows.Len++
		}
	}
	if !sliced {
		rows.Slice = nil
	}
	return rows
}

// reduce runs a metric over rows in batches of a size.
func reduce(m windows.Metric, rows windows.Rows, size int) (cell windows.Cell) {
	for from := 0; from < rows.Len; from += size {
		to := min(from+size, rows.Len)
		batch := windows.Rows{
			Len: to - from, Latency: rows.Latency[from:to], Flags: rows.Flags[from:to], Sample: rows.Sample[from:to], Tally: rows.Tally,
		}
		if rows.Slice != nil {
			batch.Slice = rows.Slice[from:to]
		}
		for _, v := range rows.Values {
			batch.Values = append(batch.Values, v[from:to])
		}
		m.Reduce(batch, &cell)
	}
	return cell
}

func reversed(rows windows.Rows) windows.Rows {
	back := rows
	back.Latency, back.Flags, back.Sample = slices.Clone(rows.Latency), slices.Clone(rows.Flags), slices.Clone(rows.Sample)
	back.Slice, back.Values = slices.Clone(rows.Slice), nil
	slices.Reverse(back.Latency)
	slices.Reverse(back.Flags)
	slices.Reverse(back.Sample)
	slices.Reverse(back.Slice)
	for _, v := range rows.Values {
		v = slices.Clone(v)
		slices.Reverse(v)
		back.Values = append(back.Values, v)
	}
	return back
}

func TestReduce(t *testing.T) {
	const e, to, hit, known, shadow = windows.FlagError, windows.FlagTimeout, windows.FlagCacheHit, windows.FlagHasCacheHit, windows.FlagShadow
	none := math.NaN()
	bucket := func(xs ...float64) (hist []windows.Bucket) {
		var c windows.Cell
		var tally windows.Tally
		for _, x := range xs {
			tally.Add(windows.BucketOf(x))
		}
		tally.Flush(&c)
		return c.Hist
	}
	tests := []struct {
		name  string
		guard string
		rows  windows.Rows
		want  windows.Cell
	}{
		{"errors", "a: rate error increase 1pp", windows.Rows{Flags: []uint8{0, e, e | to, to}}, windows.Cell{N: 4, K: 2}},
		{"timeouts", "a: rate timeout increase 1pp", windows.Rows{Flags: []uint8{0, e, e | to, to}}, windows.Cell{N: 4, K: 2}},
		{"shadow copies are compared", "a: rate error increase 1pp", windows.Rows{Flags: []uint8{shadow, e | shadow}}, windows.Cell{N: 2, K: 1}},
		{"cache misses of those that say", "a: rate cache_miss increase 1pp", windows.Rows{Flags: []uint8{0, known, known | hit, hit}}, windows.Cell{N: 2, K: 1}},
		{"every prediction with a latency, errors too; a timeout without one on top; others without one not at all",
			"a: quantile 0.99 latency increase 20%",
			windows.Rows{Latency: []float64{10, 20, none, none, 30}, Flags: []uint8{0, e, to, e, to}},
			windows.Cell{N: 4, Hist: bucket(10, 20, 30, math.Inf(1))}},
		{"an exact counter: at the limit is not above", "a: quantile 0.99 latency above 50ms",
			windows.Rows{Latency: []float64{50, math.Nextafter(50, 51), none, none}, Flags: []uint8{0, 0, to, 0}}, windows.Cell{N: 3, K: 2}},
		{"values have no timeouts", "a: quantile 0.5 tokens increase 20%",
			windows.Rows{Values: [][]float64{{7, none, 8}}, Flags: []uint8{0, to, 0}}, windows.Cell{N: 2, Hist: bucket(7, 8)}},
		{"a gauge above its limit", "a: sample cpu 0.9 increase 5pp", windows.Rows{Sample: []float64{.9, .91, .2}}, windows.Cell{N: 3, K: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := guardrail(tt.guard)
			rows := tt.rows
			rows.Len, rows.Tally = int(tt.want.N), &windows.Tally{}
			rows.Len = max(len(rows.Flags), len(rows.Sample))
			var got windows.Cell
			needsOf(&g)[0].Reduce(rows, &got)
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("cell %v, want %v", got, tt.want)
			}
		})
	}
}

func TestMetricsOfARollout(t *testing.T) {
	r := rolloutOf(
		guardrail("errors: rate error increase 0.5pp"), guardrail("outage: rate error above 5%"),
		guardrail("p99: quantile 0.99 latency increase 20%"), guardrail("crawl: quantile 0.9 latency increase 100%"),
		guardrail("slo: quantile 0.99 latency above 50ms"), guardrail("ttft: quantile 0.5 ttft_ms increase 20%"),
		guardrail("cpu: sample cpu 0.9 increase 5pp"), guardrail("hot: sample cpu 0.9 above 50%"), guardrail("oom: sample memory 0.95 above 50%"),
		guardrail("ctr: rate click decrease 2%"),
	)
	var keys []string
	for _, m := range Metrics(r) {
		keys = append(keys, m.Key())
	}
	if want := []string{"error", "latency", "latency>50", "values.ttft_ms", "cpu>0.9", "memory>0.95", "latency/half", "values.ttft_ms/half", "no_latency", "no_value.ttft_ms"}; !reflect.DeepEqual(keys, want) {
		t.Errorf("keys %q, want %q", keys, want)
	}
	type place struct{ tested, shown int }
	var places []place
	for i := range r.Guardrails {
		tested, shown := cellsOf(r, &r.Guardrails[i])
		places = append(places, place{tested, shown})
	}
	if want := []place{{0, 0}, {0, 0}, {1, 1}, {1, 1}, {2, 1}, {3, 3}, {0, 0}, {0, 0}, {1, 1}, {0, 0}}; !reflect.DeepEqual(places, want) {
		t.Errorf("cells %v, want %v", places, want)
	}
}

// TestGaugeNoiseAtFirst: readings say the same thing again and again, so few of them prove nothing before their noise is known.
func TestGaugeNoiseAtFirst(t *testing.T) {
	j := NewJudge(rolloutOf(guardrail("cpu: sample cpu 0.9 increase 5pp on=hold"), errors05), Options{})
	if gauge, rate := j.guards[0].canary.phi.canary(), j.guards[1].canary.phi.canary(); gauge < 30 || rate > 2 {
		t.Errorf("phi %v of samples and %v of predictions before anything is measured", gauge, rate)
	}
}
