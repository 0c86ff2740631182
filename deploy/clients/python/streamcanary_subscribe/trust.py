"""Whose decisions are obeyed."""

import base64
import binascii
import hashlib
import os
from typing import Dict, List

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MAX_TRUST_BYTES = 64 << 10
MAX_TRUST_KEYS = 64
_KEY_BYTES = 32
_SIGNATURE_BYTES = 64


class VerifyError(Exception):
    """Something isn't signed by a trusted key, or was changed since."""


def key_id(public: bytes) -> str:
    """Names a public key: the first 8 bytes of its SHA-256, in hex."""
    return hashlib.sha256(public).hexdigest()[:16]


class Trust:
    """The public keys (32 bytes each) whose signatures count; several may be valid at once, so that keys can be changed without a gap."""

    def __init__(self, *keys: bytes):
        self._keys: Dict[str, Ed25519PublicKey] = {key_id(k): Ed25519PublicKey.from_public_bytes(k) for k in keys}

    @property
    def ids(self) -> List[str]:
        """The ids of the keys, in order."""
        return sorted(self._keys)

    def verify(self, key: str, signature: bytes, body: bytes) -> None:
        """Raises VerifyError unless the trusted key of that id signed exactly these bytes."""
        public = self._keys.get(key)
        if not key:
            raise VerifyError("it is not signed: key is not trusted")
        if public is None:
            raise VerifyError(f"signed with key {key!r}, trusted are {self.ids}: key is not trusted")
        if len(signature) != _SIGNATURE_BYTES:
            raise VerifyError(f"key {key}: a signature of {len(signature)} bytes, not {_SIGNATURE_BYTES}")
        try:
            public.verify(signature, body)
        except InvalidSignature:
            raise VerifyError(f"key {key}, body of {len(body)} bytes: signature doesn't fit the bytes") from None


def read_trust(path: "str | os.PathLike[str]") -> Trust:
    """Reads a file of trusted keys."""
    with open(path, "rb") as file:
        return parse_trust(str(path), file.read(MAX_TRUST_BYTES + 1))


def parse_trust(name: str, data: bytes) -> Trust:
    """Reads trusted keys: per line a key id, the public key in base64, and whatever helps people, after the word "key" or without it, as `serve` prints it; empty lines and those that begin with # are passed over. A file without a
    key is an error, since nothing would ever be obeyed. name is what the file is called in errors."""
    if len(data) > MAX_TRUST_BYTES:
        raise ValueError(f"{name}: more than {MAX_TRUST_BYTES} bytes")
    keys = []
    for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == "key" and len(words) > 1:
            words = words[1:]
        keys.append(_key(f"{name}:{number}", words))
        if len(keys) > MAX_TRUST_KEYS:
            raise ValueError(f"{name}:{number}: more than {MAX_TRUST_KEYS} keys")
    if not keys:
        raise ValueError(f"{name}: no key in it: copy the line with key id and public key that `serve` prints")
    return Trust(*keys)


def _key(where: str, words: List[str]) -> bytes:
    if len(words) < 2:
        raise ValueError(f"{where}: this is no key: a line has a key id, and the public key in base64 (what stands there isn't shown)")
    public = decode_base64(words[1])
    if len(public) != _KEY_BYTES:
        raise ValueError(f"{where}: the second word is no public key: it must be {_KEY_BYTES} bytes in base64 (what stands there isn't shown)")
    if key_id(public) != words[0]:
        raise ValueError(f"{where}: key {words[0]}: the public key beside it has the id {key_id(public)}: one of the two was changed, so trust neither")
    return public


def decode_base64(text: str) -> bytes:
    """Reads base64; what is none is no bytes, which verify as what they are: a bad signature."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
