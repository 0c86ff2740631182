package windows

import (
	"cmp"
	"slices"
)

// A unitSet holds the routing units of one open window of one partition: for each its first sight, which is the smallest
// pick over both arms. Open addressing, no pointers; emptied and used again.
type unitSet struct {
	slots []unitSlot // a power of two; Unit 0 is free
	used  int
}

type unitSlot struct {
	UnitSight
	arm Arm
}

// add notes a sight. Unit 0 stands for 1.
func (u *unitSet) add(sight UnitSight, arm Arm) {
	if 4*u.used >= 3*len(u.slots) {
		u.grow()
	}
	sight.Unit = max(sight.Unit, 1)
	mask := uint64(len(u.slots) - 1)
	for i := sight.Unit & mask; ; i = (i + 1) & mask {
		s := &u.slots[i]
		switch {
		case s.Unit == 0:
			*s = unitSlot{sight, arm}
			u.used++
			return
		case s.Unit == sight.Unit:
			if sightBefore(sight, arm, *s) {
				*s = unitSlot{sight, arm}
			}
			return
		}
	}
}

// sightBefore says whether a sight of a unit comes before another of the same: by pick, then by arm.
func sightBefore(sight UnitSight, arm Arm, than unitSlot) bool {
	return sight.Pick < than.Pick || (sight.Pick == than.Pick && arm < than.arm)
}

func (u *unitSet) grow() {
	old := u.slots
	u.slots, u.used = make([]unitSlot, max(64, 2*len(old))), 0
	for _, s := range old {
		if s.Unit != 0 {
			u.add(s.UnitSight, s.arm)
		}
	}
}

// drain appends the units that the memory doesn't hold to their arm's list, ascending, and empties the set. Without a memory, it appends all.
func (u *unitSet) drain(known *unitMemory, traffic *[Arms]Traffic) {
	if u.used == 0 {
		return
	}
	for i, s := range u.slots {
		if s.Unit != 0 && (known == nil || known.fresh(s.Unit)) {
			t := &traffic[s.arm]
			t.Units = append(t.Units, s.UnitSight)
		}
		u.slots[i] = unitSlot{}
	}
	u.used = 0
	for arm := range Arms {
		slices.SortFunc(traffic[arm].Units, bySight)
		for _, s := range traffic[arm].Units {
			if known != nil {
				known.keep(s.Unit)
			}
		}
	}
}

func bySight(a, b UnitSight) int { return cmp.Compare(a.Unit, b.Unit) }

// unitMemory remembers some of the units that a partition has reported already, so that the journal isn't told of them in every
// window. It forgets at collisions, and after a restart, and that changes no result: a Merger takes each unit once, in
// window order. A fixed table of unitSlots words; the greater unit of a collision within one window stays.
type unitMemory struct{ slots []uint64 }

const unitSlots = 1 << 16

func (m *unitMemory) fresh(unit uint64) bool {
	return m.slots == nil || m.slots[unit>>48] != unit
}

func (m *unitMemory) keep(unit uint64) {
	if m.slots == nil {
		m.slots = make([]uint64, unitSlots)
	}
	m.slots[unit>>48] = unit
}
