package ingest

// A Partition is one source partition: of a Kafka topic, or a log file (Topic "log", Number its place
// among the files).
type Partition struct {
	Topic  string
	Number int32
}

// A Header is one header of a record. The value is the record's own memory.
type Header struct {
	Key   string
	Value []byte
}

// A Record is one entry of a source partition's log, as it was found there.
type Record struct {
	Key, Value []byte
	Headers    []Header
	Offset     int64 // in the partition's log; of a file, the line's number, from 1
	AppendMs   int64 // when the broker appended it (LogAppendTime topics); 0 where nobody stamped it
	TimeMs     int64 // the time that the producer gave it; 0 in files
}
