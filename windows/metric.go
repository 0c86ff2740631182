package windows

// Columns is a set of the columns of an event's row that a metric reads.
type Columns uint32

// The columns of a row. Further numbers of a prediction (`values`, `score`) are asked for by name.
const (
	ColLatency  Columns = 1 << iota // Rows.Latency
	ColError                        // Rows.Flags: FlagError
	ColTimeout                      // Rows.Flags: FlagTimeout
	ColCacheHit                     // Rows.Flags: FlagCacheHit and FlagHasCacheHit
	ColSample                       // Rows.Sample
)

// The bits of Rows.Flags.
const (
	FlagError uint8 = 1 << iota
	FlagTimeout
	FlagCacheHit
	FlagHasCacheHit
	FlagShadow
)

// Keep is a set of what a metric fills of its cells beside N and K.
type Keep uint8

// What a metric can fill of its cells. A metric that keeps slices and sums fills the slices' sums, too.
const (
	KeepHist   Keep = 1 << iota // Cell.Hist
	KeepSlices                  // Cell.Slices
	KeepSums                    // Cell.Sum and Cell.Squares
)

// A Metric turns the rows of one arm in one window into one Cell. A Plan's metrics are called by the goroutine that
// owns the Stage; a metric may keep scratch memory, but nothing of one call may reach the result of another.
type Metric interface {
	// Key is unique within a plan and names the metric's columns in the journal: "error", "latency>50", "cpu>0.9".
	Key() string
	// Stream is Stream{Kind: Serving} or Stream{Kind: Resources}.
	Stream() Stream
	// Columns says what Reduce reads: a set, and names. For Serving the names are of `values` (or "score");
	// for Resources there is exactly one: the sample's.
	Columns() (Columns, []string)
	// Keeps says what Reduce fills beside Cell.N and Cell.K.
	Keeps() Keep
	// Reduce adds the rows to the cell. It is called one or more times per cell, in any split of its rows:
	// what the cell holds in the end must depend on the set of rows alone (add integers).
	Reduce(rows Rows, cell *Cell)
}

// Rows is what a metric sees of the events of one arm: plain slices of length Len, valid during Reduce only.
// Columns that the metric didn't ask for may be nil.
type Rows struct {
	Len     int
	Arm     Arm
	Latency []float64   // milliseconds; NaN: the event has none
	Flags   []uint8     // Flag bits
	Slice   []uint8     // calibration slice of each row; nil for the canary, and where no metric keeps slices
	Values  [][]float64 // per name that the metric declared, in its order; NaN: the event has none
	Sample  []float64   // Resources: readings of the sample that the metric declared
	Tally   *Tally      // scratch for histograms; empty at the call, and Flush leaves it so
}
