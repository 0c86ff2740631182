package windows

import "strings"

// Arm is a version within a rollout.
type Arm int8

// The two arms of a rollout, in the order in which every per-arm array has them.
const (
	Baseline Arm = 0
	Canary   Arm = 1
	Arms         = 2
)

// PartKind is one of the three parts of a window, which seal separately.
type PartKind uint8

// The parts of a window.
const (
	Serving   PartKind = iota + 1 // predictions
	Resources                     // samples
	Outcomes                      // outcomes joined to the window's predictions
)

// String returns the part's name in the journal: "serving", "resources" or "outcomes".
func (k PartKind) String() string {
	switch k {
	case Serving:
		return "serving"
	case Resources:
		return "resources"
	case Outcomes:
		return "outcomes"
	}
	return "unknown"
}

// Stream names a sequence of sealed parts that seal together: one part kind, and for outcomes the
// outcome's name. Parts of one stream arrive in window order.
type Stream struct {
	Kind PartKind
	Name string // the outcome's name; empty otherwise
}

// A Partition is one source partition: of a Kafka topic, or a log file.
type Partition struct {
	Topic  string
	Number int32
}

// Slices is the number of parts into which the baseline is cut by a hash of the unit (else of the id)
// for calibration. Their shares of the baseline are 1/2, 1/4, … 1/128, 1/128, so that the first
// slices from the end add up to any 2^-j: a shard of about the canary's size.
const Slices = 8

// SliceCount is what one metric counted in one calibration slice of the baseline; Sum as in Cell.
type SliceCount struct{ N, K, Sum int64 }

// Bucket is one bucket of an exponential histogram of scale 6 (upper edge inclusive; see BucketOf).
type Bucket struct {
	Index int32
	Count uint32
}

// A Cell is what one metric makes of one arm's rows in one window: N events looked at, K of them "hits",
// and, where the metric keeps one, a histogram of their values (ascending Index, Count > 0, counts add up to N).
// Where it keeps sums (KeepSums, OutcomePlan.Cap), every event has a number in units of its cap (SumUnits): Sum and Squares add these and their
// squares (SquareUnits) up. Slices is filled only for the baseline, by metrics that ask for calibration.
type Cell struct {
	N, K         int64
	Sum, Squares int64
	Hist         []Bucket
	Slices       [Slices]SliceCount
}

// Traffic is what a serving part knows of one arm beside its metrics. Every count is of predictions.
type Traffic struct {
	Events                 int64         // counted in this window, shadow copies included
	Served                 int64         // of these, not shadow
	Late                   int64         // late ones, read while this window was the oldest open one of their partition
	SampledMin, SampledMax float64       // of `sampled_by`; 0 without events
	Slices                 [Slices]int64 // served ones per calibration slice; baseline only
	Units                  []UnitSight   // routing units first seen in this window; ascending Unit
	Hosts                  []HostCount   // ascending Host, events without one left out; bounded by MaxHosts, the rest under ""
	Regions                []HostCount   // the same by region: of the canary's predictions on time, in no digest, as nothing is decided by it
	UnitsFull              bool          // MaxUnits was reached: Units is empty from here on (merged parts only)
}

// UnitSight is the first sight of a routing unit: Unit is a hash of it; Pick orders the sights of one unit in one window,
// so that which arm counts doesn't depend on the order of arrival (the smallest Pick does).
type UnitSight struct{ Unit, Pick uint64 }

// HostCount counts the predictions of one host, region or version: on time and late.
type HostCount struct {
	Host         string
	Events, Late int64
}

// MaxHosts bounds the hosts, and the regions, told apart in one part and arm.
const MaxHosts = 256

// OtherHost is the name under which Part.OtherHosts counts a host of a version.
func OtherHost(version, host string) string { return version + "\x00" + host }

// SplitOtherHost takes such a name apart. False: it is that of the rest, beyond MaxHosts.
func SplitOtherHost(name string) (version, host string, named bool) { return strings.Cut(name, "\x00") }

// MaxUnits bounds the routing units that a Merger remembers of one epoch.
const MaxUnits = 1 << 20

// A Part is one sealed part of one window: of one source partition, or merged over all of them. It never changes.
// Cells are in the order of the plan's metrics of that stream (an outcome stream has one cell, of its outcome);
// a part with no events is a mark: it only says that every window up to its own is sealed.
type Part struct {
	Stream
	StartMs  int64    // the window's start, event time
	Metrics  []string // what the cells count: the metrics' keys, or the outcome's name; shared, never written
	Cells    [Arms][]Cell
	Traffic  [Arms]Traffic // serving parts only
	Overflow bool          // a bound was reached before it was sealed: outcomes of this window may be missing; in a serving part, copies may be counted
	Segments []Segment     // ascending Name; serving and outcomes parts of plans that tell segments apart, empty otherwise
	// Exemplars are what the plan's exhibits of the stream name, in the order of ExhibitKeys: at most MaxExemplars each, of every id one, in the
	// order of their ranks. There may be fewer lists than exhibits: then the last ones are empty.
	Exemplars [][]Exemplar

	// Others counts the predictions of the model's other versions in the window (serving parts only), by version: ascending, bounded as hosts are, and copies count again.
	// They are under no arm; people are told of them where an arm is missed, which may answer under another name. Nothing is decided by them, and no digest has them: a part with nothing
	// else is a mark, and a Merger leaves them out.
	Others []HostCount
	// OtherHosts counts them by version and host, likewise (OtherHost): where one is to have no users any more, people must hear which hosts give it some.
	OtherHosts []HostCount

	// AfterMs is where the part ends, at most, that was sealed before this one, of the same stream and partition: where that one was lost, this one would
	// seem to say that nothing was in it. Nothing of the content; NoTime: none.
	AfterMs int64

	// What health checks need, in parts of plans with Health only. Bad (serving parts) counts the events of the partition that could not be read
	// or counted (Invalid) while this window was its oldest open one.
	Bad int64
	// Gap (outcomes parts) counts the outcomes that name an arm's version, Source those that name none: by whether their prediction was found. They are
	// those that happened in the span that begins `within` after the window's start and is as long as it; none in the first windows of a rollout.
	Gap    [Arms]JoinGap
	Source JoinGap
}

// A JoinGap counts outcomes by whether the prediction was found that they belong to; copies count again. Those that are late or came too long after their
// prediction, and those of predictions under no arm of the rollout, are neither.
type JoinGap struct{ Matched, Unmatched int64 }

func (g *JoinGap) add(h JoinGap) {
	g.Matched += h.Matched
	g.Unmatched += h.Unmatched
}

// IsMark says that the part holds nothing: no event, on time or late, none that is bad, and no overflow. It may name other versions.
func (p *Part) IsMark() bool {
	if p.Overflow || p.Bad != 0 || p.Gap != [Arms]JoinGap{} || p.Source != (JoinGap{}) {
		return false
	}
	for arm := range Arms {
		t := &p.Traffic[arm]
		if t.Events != 0 || t.Late != 0 || len(t.Units) != 0 || len(t.Hosts) != 0 {
			return false
		}
		for i := range p.Cells[arm] {
			if p.Cells[arm][i].N != 0 {
				return false
			}
		}
	}
	return true
}
