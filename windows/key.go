package windows

// A Key names one sealed part in the journal. The first record of a key in log order is the truth.
type Key struct {
	Rollout   string
	Epoch     int64
	Plan      string // Plan.Hash
	Partition Partition
	Stream    Stream
	StartMs   int64
}

// A SealedPart is a part with its key.
type SealedPart struct {
	Key  Key
	Part *Part
}
