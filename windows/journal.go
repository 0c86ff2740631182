package windows

// EncodePart returns the journal bytes of a part: an Arrow IPC stream that is complete in itself.
func EncodePart(key Key, part *Part) ([]byte, error) { return nil, nil }

// DecodePart reads what EncodePart wrote. Anything else is an error, never a panic. The part is the caller's.
func DecodePart(b []byte) (Key, *Part, error) { return Key{}, nil, nil }
