package schemas

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
)

// rfc8032 is the seed of test 2 of RFC 8032, section 7.1.
const rfc8032 = "\x4c\xcd\x08\x9b\x28\xff\x96\xda\x9d\xb6\xc3\x46\xec\x11\x4e\x0f\x5b\x8a\x31\x9f\x35\xab\xa6\x24\xda\x8c\xf6\xed\x4f\xb8\xa6\xfb"

func testKey(t *testing.T, seed string) *SigningKey {
	t.Helper()
	key, err := NewSigningKey(strings.NewReader(seed))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func otherKey(t *testing.T) *SigningKey { return testKey(t, strings.Repeat("x", 32)) }

func TestSignatureIsThatOfTheStandard(t *testing.T) {
	signed := testKey(t, rfc8032).Sign([]byte{0x72})
	want := "\x92\xa0\x09\xa9\xf0\xd4\xca\xb8\x72\x0e\x82\x0b\x5f\x64\x25\x40\xa2\xb2\x7b\x54\x16\x50\x3f\x8f\xb3\x76\x22\x23\xeb\xdb\x69\xda" +
		"\x08\x5a\xc1\xe4\x3e\x15\x99\x6e\x45\x8f\x36\x13\xd0\xf1\x1d\x8c\x38\x7b\x2e\xae\xb4\x30\x2a\xee\xb0\x0d\x29\x16\x12\xbb\x0c\x00"
	if string(signed.Signature) != want {
		t.Errorf("got %x", signed.Signature)
	}
}

func TestVerify(t *testing.T) {
	key, other := testKey(t, rfc8032), otherKey(t)
	body := []byte(`{"id":"1"}`)
	tests := []struct {
		name   string
		trust  Trust
		change func(s *Signed)
		want   error
	}{
		{"as signed", NewTrust(key.Public()), func(*Signed) {}, nil},
		{"two keys at once", NewTrust(other.Public(), key.Public()), func(*Signed) {}, nil},
		{"another key is trusted", NewTrust(other.Public()), func(*Signed) {}, ErrUnknownKey},
		{"nobody is trusted", Trust{}, func(*Signed) {}, ErrUnknownKey},
		{"one byte changed", NewTrust(key.Public()), func(s *Signed) { s.Body = []byte(`{"id":"2"}`) }, ErrBadSignature},
		{"one byte more", NewTrust(key.Public()), func(s *Signed) { s.Body = append(bytes.Clone(s.Body), ' ') }, ErrBadSignature},
		{"another key is named", NewTrust(key.Public(), other.Public()), func(s *Signed) { s.KeyID = other.ID() }, ErrBadSignature},
		{"signature cut", NewTrust(key.Public()), func(s *Signed) { s.Signature = s.Signature[:63] }, ErrBadSignature},
		{"no signature", NewTrust(key.Public()), func(s *Signed) { s.Signature = nil }, ErrBadSignature},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := key.Sign(body)
			test.change(&s)
			if err := test.trust.Verify(s); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestKeyFile(t *testing.T) {
	key := testKey(t, rfc8032)
	file, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	// RFC 8410, section 10.3: this header, and the seed.
	header := "\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20"
	if block, _ := pem.Decode(file); block == nil || string(block.Bytes) != header+rfc8032 {
		t.Errorf("got %s", file)
	}
	read, err := ParseSigningKey(file)
	if err != nil || read.ID() != key.ID() || !bytes.Equal(read.Sign([]byte("a")).Signature, key.Sign([]byte("a")).Signature) {
		t.Errorf("got %v, %v", read, err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	other := pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})
	torn := pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der[:20]})
	tests := []struct{ name, file, want string }{
		{"empty", "", "parse signing key: no PEM block in it: it must begin with -----BEGIN PRIVATE KEY-----"},
		{"public key", string(public), `parse signing key: it holds a "PUBLIC KEY", not a "PRIVATE KEY": make one with: openssl genpkey -algorithm ed25519`},
		{"two keys", string(file) + string(file), "parse signing key: something stands behind the key: one file holds one key"},
		{"another algorithm", string(other), "parse signing key: it is a *ecdsa.PrivateKey, not an Ed25519 key: make one with: openssl genpkey -algorithm ed25519"},
		{"torn", string(torn), "parse signing key: asn1: syntax error: data truncated"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := ParseSigningKey([]byte(test.file)); err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
	if _, err := NewSigningKey(strings.NewReader("short")); err == nil {
		t.Error("a key of 5 random bytes")
	}
}

func TestTrustFile(t *testing.T) {
	key, other := testKey(t, rfc8032), otherKey(t)
	file := "# judges\n\n" + key.TrustLine() + " judge-1, since May\n  " + other.TrustLine() + "\n"
	trust, err := ParseTrust("trust", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []*SigningKey{key, other} {
		if err := trust.Verify(k.Sign([]byte("a"))); err != nil {
			t.Error(err)
		}
	}
	again, err := ParseTrust("trust", trust.Bytes())
	if err != nil || strings.Join(again.IDs(), " ") != strings.Join(trust.IDs(), " ") || len(again.IDs()) != 2 {
		t.Errorf("got %v, %v", again.IDs(), err)
	}
	if printed, err := ParseTrust("trust", []byte("  key      "+key.TrustLine()+"\n")); err != nil || strings.Join(printed.IDs(), " ") != key.ID() {
		t.Errorf("of the line that `serve` prints: got %v, %v", printed.IDs(), err)
	}
	golden(t, "testdata/trust", []byte(key.TrustLine()+"\n"))

	public := strings.Fields(key.TrustLine())[1]
	tests := []struct{ name, file, want string }{
		{"empty", "# none\n", "trust: no key in it: copy the line with key id and public key that `serve` prints"},
		{"id alone", "\nab\n", `trust:2: this is no key: a line has a key id, and the public key in base64 (what stands there isn't shown)`},
		{"the word alone", "key\n", `trust:1: this is no key: a line has a key id, and the public key in base64 (what stands there isn't shown)`},
		{"the word and an id", "key ab\n", `trust:1: this is no key: a line has a key id, and the public key in base64 (what stands there isn't shown)`},
		{"no base64", "ab x!\n", `trust:1: the second word is no public key: it must be 32 bytes in base64 (what stands there isn't shown)`},
		{"short key", "ab AAAA\n", `trust:1: the second word is no public key: it must be 32 bytes in base64 (what stands there isn't shown)`},
		{"id of another", other.ID() + " " + public + "\n", "trust:1: key " + other.ID() + ": the public key beside it has the id " + key.ID() + ": one of the two was changed, so trust neither"},
		{"too many", strings.Repeat(key.TrustLine()+"\n", MaxTrustKeys+1), "trust:65: more than 64 keys"},
		{"too large", strings.Repeat("#", MaxTrustBytes+1), "trust: 65537 bytes, 65536 are allowed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := ParseTrust("trust", []byte(test.file)); err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestSignedValue(t *testing.T) {
	body, err := EncodeDecision("s", plainDecision())
	if err != nil {
		t.Fatal(err)
	}
	signed := testKey(t, rfc8032).Sign(body)
	value, err := EncodeSigned(signed)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/route.json", value)
	read, err := DecodeSigned(value)
	if err != nil || !bytes.Equal(read.Body, body) || NewTrust(testKey(t, rfc8032).Public()).Verify(read) != nil {
		t.Errorf("got %+v, %v", read, err)
	}
	for i := range value {
		if _, err := DecodeSigned(value[:i]); err == nil {
			t.Errorf("accepted when cut to %d of %d bytes", i, len(value))
		}
	}
	for _, bad := range []string{"", "{}", "null", `{"body":"!","key_id":"a","signature":"AA=="}`, `{"body":"AA==","key_id":"","signature":"AA=="}`} {
		if _, err := DecodeSigned([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	greatest := Signed{Body: make([]byte, MaxDecisionBytes), KeyID: signed.KeyID, Signature: signed.Signature}
	if value, err = EncodeSigned(greatest); err != nil || len(value) > 1<<20 {
		t.Errorf("the greatest decision is %d bytes as a value, %v", len(value), err)
	}
}

func TestSignatureHeader(t *testing.T) {
	signature := testKey(t, rfc8032).Sign([]byte("a")).Signature
	if got, err := DecodeSignature(EncodeSignature(signature)); err != nil || !bytes.Equal(got, signature) {
		t.Errorf("got %x, %v", got, err)
	}
	for _, header := range []string{"", "AAAA", "not base64", EncodeSignature(make([]byte, ed25519.SignatureSize+1))} {
		if _, err := DecodeSignature(header); !errors.Is(err, ErrBadSignature) {
			t.Errorf("%q: got %v", header, err)
		}
	}
}
