package analysis

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// Bounds of what is kept and told of other versions. Those beyond mostOthers are counted as the rest, under no name.
const (
	mostOthers = 64
	toldOthers = 3
)

// Others are the model's versions beside a rollout's two, as far as windows named them of late: nothing is decided by them, but where a version is missed, the one on call must know
// what answers instead. What is older than a period counts half as much with each further one. The zero value is ready; it allocates only where there are other versions. Owned by one goroutine.
type Others struct {
	counts []windows.HostCount // ascending by version
	arms   int64               // predictions of the rollout's own two
	fromMs int64               // start of the present period
}

// An OtherVersion is one of them. Share is its part of the model's predictions of late; Version is empty for all that are not told apart.
type OtherVersion struct {
	Version string  `json:"version"`
	Share   float64 `json:"share"`
}

// Add takes a window of the model. Its memory stays the caller's.
func (o *Others) Add(p *windows.Part, periodMs int64) {
	if p.Kind != windows.Serving {
		return
	}
	if p.StartMs >= o.fromMs+periodMs {
		o.age(p.StartMs >= o.fromMs+2*periodMs)
		o.fromMs = p.StartMs
	}
	for arm := range windows.Arms {
		o.arms += p.Traffic[arm].Events
	}
	for _, v := range p.Others {
		o.count(v.Host, v.Events)
	}
}

// age halves what there is, or forgets all of it.
func (o *Others) age(all bool) {
	if all {
		o.counts, o.arms = o.counts[:0], 0
		return
	}
	o.arms /= 2
	for i := range o.counts {
		o.counts[i].Events /= 2
	}
	o.counts = slices.DeleteFunc(o.counts, func(v windows.HostCount) bool { return v.Events == 0 })
}

func (o *Others) count(version string, events int64) {
	at, found := o.find(version)
	if !found && len(o.counts) >= mostOthers {
		version = ""
		at, found = o.find(version)
	}
	if !found {
		o.counts = slices.Insert(o.counts, at, windows.HostCount{Host: version})
	}
	o.counts[at].Events += events
}

func (o *Others) find(version string) (int, bool) {
	return slices.BinarySearchFunc(o.counts, version, func(v windows.HostCount, name string) int { return strings.Compare(v.Host, name) })
}

// mostListed bounds those that are listed.
const mostListed = 10

// List is the ten with the most predictions, these first; fewer where there are fewer.
func (o *Others) List() []OtherVersion { return o.among(o.arms) }

// Alone is List where the rollout's two have gone silent: shares are of the others' own predictions.
func (o *Others) Alone() []OtherVersion { return o.among(0) }

// among has shares of so many predictions and the others' own.
func (o *Others) among(all int64) []OtherVersion {
	for _, v := range o.counts {
		all += v.Events
	}
	most := slices.Clone(o.counts)
	slices.SortStableFunc(most, func(a, b windows.HostCount) int {
		return cmp.Or(cmp.Compare(b.Events, a.Events), strings.Compare(a.Host, b.Host))
	})
	var list []OtherVersion
	for _, v := range most[:min(len(most), mostListed)] {
		list = append(list, OtherVersion{v.Host, float64(v.Events) / float64(all)})
	}
	return list
}

// Text names the greatest of them with their shares, as a sentence; "" where there are none.
func (o *Others) Text() string { return OthersText(o.List()) }

// OthersText is a sentence that names the first of a list; "" where there are none.
func OthersText(list []OtherVersion) string {
	if len(list) == 0 {
		return ""
	}
	var names []string
	for i, v := range list[:min(len(list), toldOthers)] {
		name, of := fmt.Sprintf("%.60q", v.Version), ""
		if v.Version == "" {
			name = "those that are not told apart"
		}
		if i == 0 {
			of = " of its predictions"
		}
		names = append(names, fmt.Sprintf("%s (%s%s)", name, percentText(v.Share), of))
	}
	more := ""
	if len(list) > toldOthers {
		more = " and more"
	}
	return fmt.Sprintf("Other versions of the model answer: %s%s.", strings.Join(names, ", "), more)
}

// othersText is that as a further sentence.
func (j *Judge) othersText() string {
	if text := j.others.Text(); text != "" {
		return " " + text
	}
	return ""
}

// OthersPeriod is the period of a rollout's Others, in ms.
func OthersPeriod(r *schemas.Rollout) int64 { return max(r.Health.NoData, time.Minute).Milliseconds() }
