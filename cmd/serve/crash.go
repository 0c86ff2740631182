package serve

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// A Point is a place where a failure drill may kill the process: STREAMCANARY_CRASH_AT=<point>[:n] sends it SIGKILL when it
// passes the point for the nth time (1 unless said).
type Point string

// The points, in the order in which an event and its consequences pass them.
const (
	AfterPoll            Point = "after-poll"             // a batch of events was read
	MidBatch             Point = "mid-batch"              // half of a batch is in the windows
	AfterCount           Point = "after-count"            // a batch is in the windows, nothing of it is journaled
	BeforePartAppend     Point = "before-part-append"     // a part is sealed
	AfterPartAppend      Point = "after-part-append"      // a part is handed to the journal, perhaps not yet stored
	AfterFlush           Point = "after-flush"            // all parts so far are stored
	AfterRecoveryAppend  Point = "after-recovery-append"  // the recovery point is stored
	BeforeCommit         Point = "before-commit"          // the group's offsets are not yet committed
	AfterCommit          Point = "after-commit"           // they are
	AfterAppliedAppend   Point = "after-applied-append"   // a new rollout is journaled, its record is not made
	AfterJournalRead     Point = "after-journal-read"     // a journal record was read
	AfterJudge           Point = "after-judge"            // it was judged
	BeforeHeadSave       Point = "before-head-save"       // something was decided, nothing of it is stored
	AfterHeadSave        Point = "after-head-save"        // the decision is stored, not published
	AfterPublish         Point = "after-publish"          // it is on the stream, the route is not written
	AfterRoute           Point = "after-route"            // the route is written
	AfterEvent           Point = "after-event"            // an event was published
	AfterDeliver         Point = "after-deliver"          // the outbox is empty, the record still has it
	BeforeAckAppend      Point = "before-ack-append"      // an ack came, it is not journaled
	AfterAckAppend       Point = "after-ack-append"       // it is journaled, NATS doesn't know
	AfterPeriodicSave    Point = "after-periodic-save"    // the record was written without a decision
	BeforeDeadlineAppend Point = "before-deadline-append" // a deadline has passed
)

// Points lists all of them.
func Points() []Point {
	return []Point{
		AfterPoll, MidBatch, AfterCount, BeforePartAppend, AfterPartAppend, AfterFlush, AfterRecoveryAppend, BeforeCommit, AfterCommit,
		AfterAppliedAppend, AfterJournalRead, AfterJudge, BeforeHeadSave, AfterHeadSave, AfterPublish, AfterRoute, AfterEvent, AfterDeliver,
		BeforeAckAppend, AfterAckAppend, AfterPeriodicSave, BeforeDeadlineAppend,
	}
}

// CrashVariable is the environment variable that names the point.
const CrashVariable = "STREAMCANARY_CRASH_AT"

// drill is the crash that was asked for; nil in every ordinary run.
type drill struct {
	at   Point
	left atomic.Int64
}

// newDrill reads the environment variable's value; "" is no drill.
func newDrill(value string) *drill {
	if value == "" {
		return nil
	}
	name, count, counted := strings.Cut(value, ":")
	n, err := strconv.ParseInt(count, 10, 64)
	if !counted || err != nil || n < 1 {
		n = 1
	}
	d := &drill{at: Point(name)}
	d.left.Store(n)
	return d
}

// recoveryEvery is how often a recovery point is kept: in a drill so often that a restart finds one from the thick of the traffic.
func (d *drill) recoveryEvery() time.Duration {
	if d != nil {
		return tickEvery
	}
	return recoveryEvery
}

// pass kills the process if this is the point and the time.
func (d *drill) pass(p Point) {
	if d == nil || d.at != p || d.left.Add(-1) != 0 {
		return
	}
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Signal(syscall.SIGKILL)
		select {} // the signal is on its way: go no further
	}
}
