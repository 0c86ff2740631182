package windows

import "streamcanary/schemas"

// A Recovery says from where a new Stage must read again so that it seals the parts that are still unsealed just as this one would have.
// It is plain data: JSON keeps it.
type Recovery struct {
	Sources []SourceRecovery `json:"sources"`
	Marks   []Mark           `json:"marks"`
}

// A SourceRecovery is where to read one partition from, and the times known there. Times are NoTime where nothing was read.
type SourceRecovery struct {
	Partition Partition                     `json:"partition"`
	Offset    int64                         `json:"offset"`  // of the first record to read again
	HighMs    [schemas.KindSample + 1]int64 `json:"high_ms"` // highest event time by then: of each kind, and at KindUnknown of all
	Rulings   []IdleRuling                  `json:"rulings,omitempty"`
}

// An IdleRuling is how far an idle partition was carried along before the record at Offset was read.
type IdleRuling struct {
	Offset int64                         `json:"offset"`
	HighMs [schemas.KindSample + 1]int64 `json:"high_ms"`
}

// A Mark says that all windows of a stream that end by UpToMs are sealed.
type Mark struct {
	Rollout   string    `json:"rollout"`
	Epoch     int64     `json:"epoch"`
	Stream    Stream    `json:"stream"`
	Partition Partition `json:"partition"`
	UpToMs    int64     `json:"up_to_ms"`
}

// Recovery returns where to start again. Store it only after every part that Sealed has returned is in the journal.
func (s *Stage) Recovery() Recovery { return Recovery{} }

// Restore makes a new stage go on from a recovery: after AddPartition and SetPlan, before the first Add. Every partition must then be read from
// its offset there (a partition that isn't in it: from its start).
func (s *Stage) Restore(r Recovery) error { return nil }
