package analysis

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"streamcanary/windows"
)

// Bounds of what is remembered of hosts for a finding.
const (
	lateHosts  = windows.MaxHosts // per arm; more are left out
	lateMemory = 64               // windows after which what is remembered counts half
	lateNamed  = 3                // hosts in a finding
	lateStall  = 3.0              // windows for which a host of a healthy arm may be late as a whole
)

// Late events are not judged, so an arm that has more of them may hide what it does. Their noise comes by hosts: over-dispersion is measured on
// the baseline's hosts, cut in parts by their names, and in time where events name none; and it is never taken for less than one host being
// late as a whole for some windows.
var _ = registerHealth(healthKind{name: "late share", rank: 80, checks: func(j *Judge) []check {
	s := j.stream(servingStream)
	phi, hosts := j.newPastDispersion(s), &lateMemoryOf{}
	c := j.newContrastCheck(codeLate, servingStream, phi)
	c.read = func(p *windows.Part, w *window) bool {
		for arm := range windows.Arms {
			t := &p.Traffic[arm]
			w.n[arm], w.k[arm] = t.Events+t.Late, t.Late
		}
		parts := hostSlices(p.Traffic[windows.Baseline].Hosts)
		phi.look(&parts)
		return w.n[windows.Baseline]+w.n[windows.Canary] > 0
	}
	c.learn = func(p *windows.Part) {
		parts := hostSlices(p.Traffic[windows.Baseline].Hosts)
		phi.add(&parts)
		t := &p.Traffic[windows.Baseline]
		phi.addPast(t.Events+t.Late, t.Late)
		phi.raise(lateStall * hostEvents(&p.Traffic[windows.Canary]))
		hosts.add(p)
	}
	c.tell = func(since string, e estimate) string {
		return fmt.Sprintf("Events of %s and %s don't come late equally often: %s since %s; late ones are not judged, so something may be hidden.%s",
			j.arm(windows.Canary), j.arm(windows.Baseline), sharesText(e), since, hosts.text())
	}
	return []check{c}
}})

// hostSlices cuts hosts into slices by a hash of their names: about a half, a quarter, and so on, as units are.
func hostSlices(hosts []windows.HostCount) (parts [windows.Slices]windows.SliceCount) {
	for _, h := range hosts {
		if h.Host == "" {
			continue
		}
		s := &parts[min(bits.TrailingZeros32(hashText(h.Host)), windows.Slices-1)]
		s.N += h.Events + h.Late
		s.K += h.Late
	}
	return parts
}

// hostEvents is how many events the arm's greatest host has in a window; of an arm that names none, all of them.
func hostEvents(t *windows.Traffic) float64 {
	most := int64(0)
	for _, h := range t.Hosts {
		if h.Host != "" {
			most = max(most, h.Events+h.Late)
		}
	}
	if most == 0 {
		most = t.Events + t.Late
	}
	return float64(most)
}

// hashText is FNV-1a.
func hashText(s string) uint32 {
	hash := uint32(2166136261)
	for i := range len(s) {
		hash = (hash ^ uint32(s[i])) * 16777619
	}
	return hash
}

// lateMemoryOf remembers how many events of each host were late lately: for people.
type lateMemoryOf struct {
	windows int
	hosts   []windows.HostCount // ascending by name; both arms'
}

func (m *lateMemoryOf) add(p *windows.Part) {
	if m.windows++; m.windows%lateMemory == 0 {
		for i := range m.hosts {
			m.hosts[i].Events /= 2
			m.hosts[i].Late /= 2
		}
		m.hosts = slices.DeleteFunc(m.hosts, func(h windows.HostCount) bool { return h.Events+h.Late == 0 })
	}
	for arm := range windows.Arms {
		for _, h := range p.Traffic[arm].Hosts {
			m.count(h)
		}
	}
}

func (m *lateMemoryOf) count(h windows.HostCount) {
	if h.Host == "" {
		return
	}
	at, known := slices.BinarySearchFunc(m.hosts, h.Host, func(o windows.HostCount, name string) int { return strings.Compare(o.Host, name) })
	if !known {
		if h.Late == 0 || len(m.hosts) == windows.Arms*lateHosts {
			return
		}
		m.hosts = slices.Insert(m.hosts, at, windows.HostCount{Host: strings.Clone(h.Host)})
	}
	m.hosts[at].Events += h.Events
	m.hosts[at].Late += h.Late
}

// text names the hosts with the most late events.
func (m *lateMemoryOf) text() string {
	most := slices.Clone(m.hosts)
	slices.SortFunc(most, func(a, b windows.HostCount) int {
		return cmp.Or(cmp.Compare(b.Late, a.Late), strings.Compare(a.Host, b.Host))
	})
	var names []string
	for _, h := range most[:min(len(most), lateNamed)] {
		if h.Late > 0 {
			names = append(names, fmt.Sprintf("%s (%s of its events)", h.Host, percentText(float64(h.Late)/float64(h.Events+h.Late))))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " Most of them lately are from " + listText(names) + "."
}
