package windows

// Limits are the bounds of a Stage, and what its rulings on clocks need. A zero field stands for its default.
type Limits struct {
	PendingPredictions int   // remembered predictions (16 bytes of identity and time each, in a table of 24-byte slots), beyond which the oldest are forgotten; default 20,000,000
	PendingOutcomes    int   // outcomes that wait for their prediction (64 bytes each), and as many remembered ids of outcomes, and sums of values; default 2,000,000
	MaxAheadMs         int64 // rule 6: how far an event may be ahead of its broker's append time; default 1,000
	MaxJumpMs          int64 // rule 6: how far one may be ahead of its partition without append time; default 3,600,000
	MaxLagMs           int64 // how far one kind's high may lag behind a partition's others before it is carried along; default 3,600,000
}

// Bounds that are part of the format, not settings.
const (
	MaxTimeMs  = 1<<46 - 1       // of an event's time, on either side of 1970: more than 2,000 years
	MaxSpanMs  = 1 << 36         // of a window's width, a lateness or a `within`: more than two years
	Confirming = 20              // events held aside that confirm each other, if they agree and outnumber the ordinary ones
	Beginning  = 3               // events that must agree before a partition has a time at all, where nobody stamps it
	MaxHeld    = 64              // events held aside per partition: at the bound, where no Confirming of them agree, all are Invalid
	MaxSources = 1<<16 - 1       // source partitions of a stage
	MaxPlans   = 1<<16 - 2       // plans of a stage
	MaxRows    = 1 << 16         // rows of one arm in one open window before they are reduced
	NoTime     = int64(-1 << 63) // a time that nothing has set: before every other
)

func (l Limits) withDefaults() Limits {
	if l.PendingPredictions == 0 {
		l.PendingPredictions = 20_000_000
	}
	if l.PendingOutcomes == 0 {
		l.PendingOutcomes = 2_000_000
	}
	if l.MaxAheadMs == 0 {
		l.MaxAheadMs = 1_000
	}
	if l.MaxJumpMs == 0 {
		l.MaxJumpMs = 3_600_000
	}
	if l.MaxLagMs == 0 {
		l.MaxLagMs = 3_600_000
	}
	return l
}
