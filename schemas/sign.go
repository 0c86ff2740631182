package schemas

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// ErrUnknownKey says that something is signed with a key that isn't trusted.
var ErrUnknownKey = errors.New("key is not trusted")

// ErrBadSignature says that something was not signed by the key that it names, or was changed since.
var ErrBadSignature = errors.New("signature doesn't fit the bytes")

// A Signed is bytes as they were signed. Its JSON is the value of a route in RoutesBucket (see EncodeSigned).
type Signed struct {
	Body      []byte `json:"body"` // base64 in JSON; the exact bytes under the signature
	KeyID     string `json:"key_id"`
	Signature []byte `json:"signature"`
}

// A SigningKey signs decisions. Its zero value is not usable. Safe for concurrent use.
type SigningKey struct {
	private ed25519.PrivateKey
	id      string
}

// NewSigningKey makes a key from 32 bytes of random, which must come from a source that nobody can guess.
func NewSigningKey(random io.Reader) (*SigningKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, fmt.Errorf("make signing key: read random bytes: %w", err)
	}
	return signingKey(ed25519.NewKeyFromSeed(seed)), nil
}

func signingKey(private ed25519.PrivateKey) *SigningKey {
	return &SigningKey{private, KeyID(private.Public().(ed25519.PublicKey))}
}

const pemType = "PRIVATE KEY"

// ParseSigningKey reads a key file: one PEM block of a PKCS #8 Ed25519 private key, as PEM and
// `openssl genpkey -algorithm ed25519` write it.
func ParseSigningKey(data []byte) (*SigningKey, error) {
	block, rest := pem.Decode(data)
	switch {
	case block == nil:
		return nil, fmt.Errorf("parse signing key: no PEM block in it: it must begin with -----BEGIN %s-----", pemType)
	case block.Type != pemType:
		return nil, fmt.Errorf("parse signing key: it holds a %q, not a %q: make one with: openssl genpkey -algorithm ed25519", block.Type, pemType)
	case strings.TrimSpace(string(rest)) != "":
		return nil, fmt.Errorf("parse signing key: something stands behind the key: one file holds one key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse signing key: %w", err)
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("parse signing key: it is a %T, not an Ed25519 key: make one with: openssl genpkey -algorithm ed25519", key)
	}
	return signingKey(private), nil
}

// PEM returns the key file. Whoever stores it keeps it from others (0600).
func (k *SigningKey) PEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, fmt.Errorf("write signing key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

// ID returns the key's id: KeyID of its public half.
func (k *SigningKey) ID() string { return k.id }

// Public returns the public half.
func (k *SigningKey) Public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// Sign signs a body, which the result aliases.
func (k *SigningKey) Sign(body []byte) Signed {
	return Signed{Body: body, KeyID: k.id, Signature: ed25519.Sign(k.private, body)}
}

// TrustLine returns the line of a trust file that makes others trust this key.
func (k *SigningKey) TrustLine() string {
	return k.id + " " + base64.StdEncoding.EncodeToString(k.Public())
}

const keyIDBytes = 8

// KeyID names a public key: the first 8 bytes of its SHA-256, in lower-case hex.
func KeyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:keyIDBytes])
}

// Bounds of a trust file.
const (
	MaxTrustBytes = 64 << 10
	MaxTrustKeys  = 64
)

// Trust is the set of public keys whose signatures count; several may be valid at once, so that keys can be changed
// without a gap. It doesn't change once made: safe for concurrent use. The zero value trusts nobody.
type Trust struct {
	keys map[string]ed25519.PublicKey
}

// NewTrust trusts some keys.
func NewTrust(keys ...ed25519.PublicKey) Trust {
	t := Trust{keys: make(map[string]ed25519.PublicKey, len(keys))}
	for _, key := range keys {
		t.keys[KeyID(key)] = key
	}
	return t
}

// ParseTrust reads a trust file: per line a key id, the public key in base64, and whatever helps people to know it
// again, all that after the word "key" or without it, as `serve` prints it; empty lines and those that begin with # are passed over. name is what the file is called in errors. A file
// without a key is an error, since nothing would ever be obeyed.
func ParseTrust(name string, data []byte) (Trust, error) {
	if len(data) > MaxTrustBytes {
		return Trust{}, fmt.Errorf("%s: %d bytes, %d are allowed", name, len(data), MaxTrustBytes)
	}
	var keys []ed25519.PublicKey
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if words[0] == "key" && len(words) > 1 {
			words = words[1:]
		}
		key, err := parseTrustLine(words)
		if err != nil {
			return Trust{}, fmt.Errorf("%s:%d: %w", name, number, err)
		}
		if keys = append(keys, key); len(keys) > MaxTrustKeys {
			return Trust{}, fmt.Errorf("%s:%d: more than %d keys", name, number, MaxTrustKeys)
		}
	}
	if len(keys) == 0 {
		return Trust{}, fmt.Errorf("%s: no key in it: copy the line with key id and public key that `serve` prints", name)
	}
	return NewTrust(keys...), nil
}

// parseTrustLine shows nothing of a line that isn't a key: a wrong file may hold secrets.
func parseTrustLine(words []string) (ed25519.PublicKey, error) {
	if len(words) < 2 {
		return nil, errors.New("this is no key: a line has a key id, and the public key in base64 (what stands there isn't shown)")
	}
	key, err := base64.StdEncoding.DecodeString(words[1])
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("the second word is no public key: it must be %d bytes in base64 (what stands there isn't shown)", ed25519.PublicKeySize)
	}
	if id := KeyID(key); id != words[0] {
		return nil, fmt.Errorf("key %s: the public key beside it has the id %s: one of the two was changed, so trust neither", words[0], id)
	}
	return key, nil
}

// IDs returns the ids of the trusted keys, in order.
func (t Trust) IDs() []string { return slices.Sorted(maps.Keys(t.keys)) }

// Bytes returns the trust file.
func (t Trust) Bytes() []byte {
	var file strings.Builder
	for _, id := range t.IDs() {
		fmt.Fprintf(&file, "%s %s\n", id, base64.StdEncoding.EncodeToString(t.keys[id]))
	}
	return []byte(file.String())
}

// Verify says whether a trusted key signed exactly these bytes: nil, ErrUnknownKey or ErrBadSignature (wrapped).
func (t Trust) Verify(s Signed) error {
	key, known := t.keys[s.KeyID]
	if s.KeyID == "" {
		return fmt.Errorf("verify: it is not signed: %w", ErrUnknownKey)
	}
	if !known {
		return fmt.Errorf("verify: signed with key %q, trusted are %q: %w", s.KeyID, t.IDs(), ErrUnknownKey)
	}
	if len(s.Signature) != ed25519.SignatureSize {
		return fmt.Errorf("verify: key %s: a signature of %d bytes, not %d: %w", s.KeyID, len(s.Signature), ed25519.SignatureSize, ErrBadSignature)
	}
	if !ed25519.Verify(key, s.Body, s.Signature) {
		return fmt.Errorf("verify: key %s, body of %d bytes: %w", s.KeyID, len(s.Body), ErrBadSignature)
	}
	return nil
}

// EncodeSignature writes a signature for the header HeaderSignature.
func EncodeSignature(signature []byte) string { return base64.StdEncoding.EncodeToString(signature) }

// DecodeSignature reads the header HeaderSignature.
func DecodeSignature(header string) ([]byte, error) {
	signature, err := base64.StdEncoding.Strict().DecodeString(header)
	if err != nil || len(signature) != ed25519.SignatureSize {
		return nil, fmt.Errorf("decode signature: header %s holds no Ed25519 signature in base64: %w", HeaderSignature, ErrBadSignature)
	}
	return signature, nil
}
