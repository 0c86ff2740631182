package windows

// A Digest is a running sha256 over merged parts and what else a replay must reproduce. The zero value is ready.
type Digest struct{}

// Part adds the canonical bytes of a part.
func (d *Digest) Part(p *Part) {}

// Floats adds numbers rounded to 1e-9.
func (d *Digest) Floats(xs []float64) {}

// Bytes adds bytes, framed by their length.
func (d *Digest) Bytes(b []byte) {}

// Sum returns the digest so far in lower-case hex. More can be added after it.
func (d *Digest) Sum() string { return "" }

// PartBytes appends the canonical bytes of a part to dst.
func PartBytes(dst []byte, p *Part) []byte { return dst }
