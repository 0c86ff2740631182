package windows

import "math/bits"

// An index remembers predictions by id: to join outcomes to them, and to know copies. It is one open-addressing table of 24-byte
// slots without pointers, so that the garbage collector has nothing to walk. Several entries may have one id (versions,
// attempts, partitions, hashes that collide).
//
// Who looks an entry up decides by its time whether it still counts: what is in the table by chance never decides. With each
// insertion a few slots are swept of entries that nobody can ever need again (stale). A table that is full nevertheless is left, a few
// slots with each insertion, for one of twice the live entries; so is one that has become far too large. Who needs room soon begins a pass: all
// that can go goes within a given number of insertions. No insertion looks at the whole table.
type index struct {
	stale  func(*slot) bool // says that nobody will ever need an entry again
	floor  uint64           // an entry with a smaller `when` is forgotten: it isn't found, and goes
	lost   int64            // entries that went because they were forgotten
	pass   int              // slots that the pass under way has yet to look at
	pace   int              // slots that it looks at with each insertion
	slots  []slot
	filled int    // slots taken
	full   int    // filled at which the table is left
	swept  int    // slots before this one are swept
	old    []slot // the table before, being left; nil when that is done
	moved  int    // slots of old before this one are done with
	rest   int    // entries of old from there on
	steps  int    // slots of old to move with each insertion
}

// A slot is one entry; key 0 is free.
type slot struct {
	key  uint64 // hash of the id; 1 for 0
	when uint64 // time and plan, as packWhen has them
	what uint64 // the rest, as packWhat has it
}

const (
	indexMin    = 64      // slots of the smallest table
	moveMin     = 8       // slots moved with each insertion, at least
	sweepSteps  = 4       // slots swept with each insertion
	stalePeeks  = 1 << 10 // slots looked at to guess how many entries are live
	bytesOfSlot = 24
)

// home returns where the search for a key starts in a table of n slots.
func home(key uint64, n int) int {
	high, _ := bits.Mul64(key, uint64(n))
	return int(high)
}

// len returns the number of entries, those included that nobody needs.
func (x *index) len() int { return x.filled + x.rest }

// bytes returns the memory of the tables.
func (x *index) bytes() int { return bytesOfSlot * (len(x.slots) + len(x.old)) }

// insert adds an entry, without looking for others of its key.
func (x *index) insert(s slot) {
	s.key = max(s.key, 1)
	x.advance()
	if x.filled >= x.full {
		x.leave()
	}
	x.put(s)
}

// advance is an insertion's share of the sweeping or the moving.
func (x *index) advance() {
	pace := 0
	if x.pass > 0 {
		pace = x.pace
	}
	if x.old != nil {
		x.move(max(x.steps, pace))
	} else {
		x.sweep(max(sweepSteps, pace))
	}
}

// beginPass lets what can go by now go within n insertions.
func (x *index) beginPass(n int) {
	x.pass = len(x.slots) + len(x.old) - x.moved
	x.pace = (x.pass+x.len())/max(1, n) + 1 // an entry that goes takes a look of its own
}

// goes says whether an entry is to be taken out, and counts it if it's a loss.
func (x *index) goes(s *slot) bool {
	if x.stale(s) {
		return true
	}
	if s.when >= x.floor {
		return false
	}
	x.lost++
	return true
}

// isLive says whether an entry stays.
func (x *index) isLive(s *slot) bool { return s.key != 0 && s.when >= x.floor && !x.stale(s) }

func (x *index) put(s slot) {
	at := home(s.key, len(x.slots))
	for x.slots[at].key != 0 {
		if at++; at == len(x.slots) {
			at = 0
		}
	}
	x.slots[at] = s
	x.filled++
}

// move carries live entries of up to n slots over from the old table.
func (x *index) move(n int) {
	for ; n > 0 && x.moved < len(x.old) && x.filled < x.full; n-- {
		s := &x.old[x.moved]
		x.moved++
		x.pass = max(0, x.pass-1)
		if s.key == 0 {
			continue
		}
		x.rest--
		if !x.goes(s) {
			x.put(*s)
		}
	}
	if x.moved == len(x.old) {
		x.old, x.moved, x.rest = nil, 0, 0
	}
}

// sweep takes what can go out of the next slots: it looks at n.
func (x *index) sweep(n int) {
	for ; n > 0 && len(x.slots) > 0; n-- {
		if x.swept == len(x.slots) {
			x.swept = 0
			if x.filled < len(x.slots)/8 && len(x.slots) > indexMin {
				x.leave()
				return
			}
		}
		if s := &x.slots[x.swept]; s.key != 0 && x.goes(s) {
			x.remove(x.swept) // another entry may stand there now: it is looked at, too
			continue
		}
		x.swept++
		x.pass = max(0, x.pass-1)
	}
}

// remove empties a slot, and closes the gap for the searches that go on over it.
func (x *index) remove(gap int) {
	n := len(x.slots)
	for at := gap; ; {
		if at++; at == n {
			at = 0
		}
		s := &x.slots[at]
		if s.key == 0 {
			break
		}
		if around(at-home(s.key, n), n) >= around(at-gap, n) { // its search starts at the gap or before
			x.slots[gap] = *s
			gap = at
		}
	}
	x.slots[gap] = slot{}
	x.filled--
}

// around returns a distance going round a table of n slots.
func around(d, n int) int {
	if d < 0 {
		return d + n
	}
	return d
}

// leave starts with another table, sized by a guess at the live entries. A guess that was too low shows when that table is full
// before the old one is empty: then everything is rebuilt at once.
func (x *index) leave() {
	if x.old != nil {
		x.rebuild()
		return
	}
	live := x.guessLive()
	x.old, x.moved, x.rest = x.slots, 0, x.filled
	if x.pass > 0 {
		x.pass = len(x.old) // moving looks at every entry
	}
	x.start(max(indexMin, live*2, x.rest/4))
	x.steps = max(moveMin, len(x.old)/max(1, x.full-live)+1)
	if len(x.old) == 0 {
		x.old = nil
	}
}

// rebuild moves every live entry to a new table at once.
func (x *index) rebuild() {
	tables := [][]slot{x.slots, x.old[x.moved:]}
	live := 0
	for _, table := range tables {
		for i := range table {
			if x.isLive(&table[i]) {
				live++
			}
		}
	}
	x.old, x.moved, x.rest, x.pass = nil, 0, 0, 0
	x.start(max(indexMin, live*2))
	for _, table := range tables {
		for i := range table {
			if table[i].key != 0 && !x.goes(&table[i]) {
				x.put(table[i])
			}
		}
	}
}

// start begins an empty table of n slots, to be left at four fifths.
func (x *index) start(n int) {
	x.slots, x.filled, x.full = make([]slot, n), 0, n/5*4
	x.swept = 0
}

func (x *index) guessLive() int {
	if len(x.slots) == 0 {
		return 0
	}
	taken, live := 0, 0
	peeks := min(stalePeeks, len(x.slots))
	for i := range peeks {
		s := &x.slots[i*len(x.slots)/peeks]
		if s.key == 0 {
			continue
		}
		taken++
		if x.isLive(s) {
			live++
		}
	}
	return x.filled * live / max(1, taken)
}

// A finder goes through the entries of one key. It is valid until the next insertion.
type finder struct {
	key     uint64
	floor   uint64
	slots   []slot
	at      int
	from    int // slots before this one have been moved
	old     []slot
	oldFrom int
}

func (x *index) find(key uint64) finder {
	key = max(key, 1)
	return finder{key: key, floor: x.floor, slots: x.slots, at: home(key, len(x.slots)), old: x.old, oldFrom: x.moved}
}

// next returns the next entry of the key, or nil.
func (f *finder) next() *slot {
	for {
		if s := f.scan(); s != nil {
			return s
		}
		if f.old == nil {
			return nil
		}
		f.slots, f.at, f.from, f.old = f.old, home(f.key, len(f.old)), f.oldFrom, nil
	}
}

func (f *finder) scan() *slot {
	if len(f.slots) == 0 {
		return nil
	}
	for f.slots[f.at].key != 0 {
		s, at := &f.slots[f.at], f.at
		if f.at++; f.at == len(f.slots) {
			f.at = 0
		}
		if s.key == f.key && at >= f.from && s.when >= f.floor {
			return s
		}
	}
	return nil
}

// What an entry's words hold. `when`: 47 bits of time from -MaxTimeMs on, 16 of the plan. `what`: from the lowest bit on, 16 bits of
// outcomes already matched, 15 of the attempt, one that says that it is loose, 16 of the source, 3 of the calibration slice, then the arm, and whether outcomes can
// be joined to it, and 11 of the segment's id in its window.
const (
	planBits                                          = 16
	attemptShift, looseShift, sourceShift             = 16, 31, 32
	sliceShift, armShift, joinableShift, segmentShift = 48, 51, 52, 53
	segmentBits                                       = 11

	// otherPlan marks the id of a prediction under no rollout.
	otherPlan = 1<<planBits - 1

	maxAttempt = 1<<15 - 1 // attempts beyond count as this one
)

func packWhen(ms int64, plan int) uint64 {
	return uint64(ms+MaxTimeMs+1)<<planBits | uint64(plan)
}

// what is what an entry says of its prediction beside id, time and plan.
type what struct {
	source   int
	attempt  int32
	arm      Arm
	slice    int // of the baseline; 0 for the canary
	joinable bool
}

func packWhat(e what) uint64 {
	w := uint64(min(max(e.attempt, 0), maxAttempt))<<attemptShift | uint64(e.source)<<sourceShift |
		uint64(e.slice)<<sliceShift | uint64(e.arm)<<armShift
	if e.joinable {
		w |= 1 << joinableShift
	}
	return w
}

func (s *slot) timeMs() int64  { return int64(s.when>>planBits) - MaxTimeMs - 1 }
func (s *slot) plan() int      { return int(s.when & (1<<planBits - 1)) }
func (s *slot) attempt() int64 { return int64(s.what >> attemptShift & maxAttempt) }
func (s *slot) source() int    { return int(s.what >> sourceShift & (1<<planBits - 1)) }
func (s *slot) slice() int     { return int(s.what >> sliceShift & (Slices - 1)) }
func (s *slot) arm() Arm       { return Arm(s.what >> armShift & 1) }
func (s *slot) joinable() bool { return s.what>>joinableShift&1 == 1 }

// loose says that the entry is no proof for other rollouts that its prediction was on time: that is in an entry of otherPlan.
func (s *slot) loose() bool { return s.what>>looseShift&1 == 1 }

// segment returns the id that the prediction's segment had when it was read.
func (s *slot) segment() int { return int(s.what >> segmentShift) }

func (s *slot) setSegment(id uint16) { s.what |= uint64(id) << segmentShift }

// identity is what copies of one prediction have in common beside the id: plan, source, arm and attempt.
func (s *slot) identity() uint64 {
	return s.what&(maxAttempt<<attemptShift|(1<<planBits-1)<<sourceShift|1<<armShift) | uint64(s.plan())
}

// match notes an outcome, by its place in the plan, and says whether it is the entry's first of it.
func (s *slot) match(outcome int) bool {
	first := s.what>>outcome&1 == 0
	s.what |= 1 << outcome
	return first
}
