package windows

import (
	"bytes"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// A hostSet counts the hosts of one arm in one open window: the MaxHosts smallest names are told apart, the others are counted
// as the rest. Which names those are depends on the set of names alone, not on their order. Emptied and used again.
type hostSet struct {
	hosts []hostEntry
	names []byte   // all names, end to end
	index []uint16 // open addressing by hash: 1 + place in hosts; 0 is free
	rest  HostCount
}

type hostEntry struct {
	hash         uint64
	from, to     uint32 // in names
	events, late int64
}

const hostSlots = 4 * MaxHosts

// count adds to a host's counts. A host without a name isn't counted.
func (h *hostSet) count(name []byte, events, late int64) {
	if len(name) == 0 {
		return
	}
	if h.index == nil {
		h.index = make([]uint16, hostSlots)
	}
	hash := xxhash.Sum64(name)
	i := hash % hostSlots
	for ; h.index[i] != 0; i = (i + 1) % hostSlots {
		if e := &h.hosts[h.index[i]-1]; e.hash == hash && bytes.Equal(h.name(e), name) {
			e.events += events
			e.late += late
			return
		}
	}
	if len(h.hosts) == MaxHosts && !h.makeRoom(name) {
		h.rest.Events += events
		h.rest.Late += late
		return
	}
	h.insert(hash, name, events, late)
}

func (h *hostSet) name(e *hostEntry) []byte { return h.names[e.from:e.to] }

func (h *hostSet) insert(hash uint64, name []byte, events, late int64) {
	from := uint32(len(h.names))
	h.names = append(h.names, name...)
	h.hosts = append(h.hosts, hostEntry{hash, from, uint32(len(h.names)), events, late})
	h.link(hash, len(h.hosts))
}

func (h *hostSet) link(hash uint64, place int) {
	i := hash % hostSlots
	for h.index[i] != 0 {
		i = (i + 1) % hostSlots
	}
	h.index[i] = uint16(place)
}

// makeRoom moves the greatest name to the rest, if the new one is smaller.
func (h *hostSet) makeRoom(name []byte) bool {
	greatest := 0
	for i := range h.hosts {
		if bytes.Compare(h.name(&h.hosts[i]), h.name(&h.hosts[greatest])) > 0 {
			greatest = i
		}
	}
	e := h.hosts[greatest]
	if bytes.Compare(name, h.name(&e)) > 0 {
		return false
	}
	h.rest.Events += e.events
	h.rest.Late += e.late
	h.hosts = slices.Delete(h.hosts, greatest, greatest+1)
	h.compact()
	return true
}

// compact drops the bytes of names that are gone, and links the hosts anew.
func (h *hostSet) compact() {
	names := make([]byte, 0, len(h.names))
	clear(h.index)
	for i := range h.hosts {
		e := &h.hosts[i]
		from := uint32(len(names))
		names = append(names, h.name(e)...)
		e.from, e.to = from, uint32(len(names))
		h.link(e.hash, i+1)
	}
	h.names = names
}

// drain appends the counts to dst, ascending by name with the rest under "", and empties the set.
func (h *hostSet) drain(dst []HostCount, intern *interner) []HostCount {
	if len(h.hosts) == 0 {
		return dst
	}
	if h.rest != (HostCount{}) {
		dst = append(dst, h.rest)
	}
	for i := range h.hosts {
		e := &h.hosts[i]
		dst = append(dst, HostCount{intern.text(h.name(e)), e.events, e.late})
	}
	slices.SortFunc(dst, byHost)
	clear(h.index)
	h.hosts, h.names, h.rest = h.hosts[:0], h.names[:0], HostCount{}
	return dst
}

func byHost(a, b HostCount) int { return strings.Compare(a.Host, b.Host) }

// addHosts adds counts to an ascending list, which keeps the MaxHosts smallest names: the same rule, so that the
// order in which lists are added doesn't matter.
func addHosts(list, add []HostCount) []HostCount {
	for _, h := range add {
		at, found := slices.BinarySearchFunc(list, h.Host, func(a HostCount, b string) int { return strings.Compare(a.Host, b) })
		if found {
			list[at].Events += h.Events
			list[at].Late += h.Late
			continue
		}
		list = slices.Insert(list, at, h)
	}
	return trimHosts(list)
}

// trimHosts moves the greatest names beyond MaxHosts to the rest.
func trimHosts(list []HostCount) []HostCount {
	named := len(list)
	if named > 0 && list[0].Host == "" {
		named--
	}
	if named <= MaxHosts {
		return list
	}
	var rest HostCount
	for _, h := range list[len(list)-(named-MaxHosts):] {
		rest.Events += h.Events
		rest.Late += h.Late
	}
	list = list[:len(list)-(named-MaxHosts)]
	if list[0].Host != "" {
		list = slices.Insert(list, 0, HostCount{})
	}
	list[0].Events += rest.Events
	list[0].Late += rest.Late
	return list
}

// internedNames bounds an interner: at the bound it starts anew.
const internedNames = 1 << 14

// An interner gives the same string for the same bytes, most of the time, so that names that recur aren't allocated again.
type interner struct{ names map[string]string }

func (n *interner) text(b []byte) string {
	if s, ok := n.names[string(b)]; ok {
		return s
	}
	if n.names == nil || len(n.names) >= internedNames {
		n.names = map[string]string{}
	}
	s := string(b)
	n.names[s] = s
	return s
}
