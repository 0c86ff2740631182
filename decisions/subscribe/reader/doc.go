// Package reader reads subjects of a NATS stream in order, and ends rather than reading on in a stream that isn't the one that it has read.
//
// It promises: what Read gives comes in the stream's order, each message once and none left out. It ends with ErrBrokenOff as soon as that is in doubt: when the connection was lost and is
// back, when the consumer on the server is gone (with its stream, or with a server that was restarted), when nothing is heard of it, or when a message did not come. Whoever calls it
// begins again, with what stands in the stream then: the stream may have been deleted and made anew, or restored from an older backup, whose next messages have numbers that were read already.
// The ordered consumers and the watches of a bucket in NATS's own client go on behind the last number instead, and hear nothing in such a stream until it has passed that.
//
// Names to know first: Read, Query, ErrBrokenOff.
//
// Limits: it asks the server only to make its consumer and for messages, so it notices a stream that went back by the consumer that is gone, which the server keeps in memory alone.
// While nothing else tells it, that is within 20 s.
package reader
