"""What needs no server. What does is in the conformance run."""

import asyncio
import base64
import json
import os
import tempfile
import unittest
from unittest import mock

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from streamcanary_subscribe import DecodeError, Dir, Memory, Options, Position, Trust, VerifyError, Version, parse_trust, run
from streamcanary_subscribe.decision import decode_decision, expired
from streamcanary_subscribe.names import ack_subject, again_subject, decision_id, encode_name, route_subject
from streamcanary_subscribe.trust import key_id

KEY = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
PUBLIC = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def event(**changes):
    """A decision of model m, as an event; changes are of its data."""
    data = {
        "schema": "streamcanary.decision.v1", "id": "r=2E1.1.2", "epoch": 1, "seq": 2, "model": "m", "rollout": "r.1", "stage": 0, "mode": "enforce", "action": "promote",
        "severity": "info", "routes": [{"version": "a", "weight_bp": 0}, {"version": "b", "weight_bp": 10000}], "reason": {"code": "c", "sentence": "S."},
        "evidence": {"rollout_sha256": "a" * 64}, "event_time": "2026-01-02T03:04:05.678Z", "actor": {"kind": "engine"}, "a_new_field": {"of": "a newer judge"},
    }
    data.update(changes)
    return {
        "specversion": "1.0", "type": "streamcanary.decision.v1", "source": "s", "id": data["id"], "subject": data["model"], "time": "2026-01-02T03:04:05.678Z",
        "datacontenttype": "application/json", "data": data,
    }


def decode(value):
    return decode_decision(json.dumps(value).encode(), "m")


class Names(unittest.TestCase):
    def test_tokens(self):
        for name, token in (("ranker", "ranker"), ("ranker/v.1", "ranker=2Fv=2E1"), ("a-b_C9", "a-b_C9"), ("é=", "=C3=A9=3D")):
            self.assertEqual(encode_name(name), token)
        for name in ("", "x" * 129, "é" * 65):
            with self.assertRaises(ValueError):
                encode_name(name)
        self.assertEqual(ack_subject("a.b", "c"), "streamcanary.ack.a=2Eb.c")
        self.assertEqual(again_subject("a b"), "$KV.streamcanary-routes.again/a=20b")
        self.assertEqual(route_subject("a b"), "$KV.streamcanary-routes.a=20b")
        self.assertEqual(decision_id("r.1", 3, 4), "r=2E1.3.4")


class Keys(unittest.TestCase):
    def test_file(self):
        line = f"{key_id(PUBLIC)} {base64.b64encode(PUBLIC).decode()} of the judge\n"
        self.assertEqual(parse_trust("t", ("# keys\n\n" + line).encode()).ids, [key_id(PUBLIC)])
        self.assertEqual(parse_trust("t", ("  key      " + line).encode()).ids, [key_id(PUBLIC)])  # the line that `serve` prints
        for text, want in (
            ("key\n", "t:1: this is no key"), ("key ab\n", "t:1: this is no key"), ("", "no key in it"), ("abc\n", "t:1: this is no key"), ("x\n" + line, "t:1"), (f"abc {base64.b64encode(PUBLIC).decode()}\n", "trust neither"),
            ("abc AAAA\n", "is no public key"), ("#" * 70000, "more than"), (line * 65, "t:65: more than 64 keys"),
        ):
            with self.assertRaisesRegex(ValueError, want):
                parse_trust("t", text.encode())

    def test_every_bit_counts(self):
        body = json.dumps(event()).encode()
        signature = KEY.sign(body)
        trust = Trust(PUBLIC)
        trust.verify(key_id(PUBLIC), signature, body)
        for i in range(0, len(body) * 8, 7):
            changed = bytearray(body)
            changed[i // 8] ^= 1 << i % 8
            with self.assertRaises(VerifyError):
                trust.verify(key_id(PUBLIC), signature, bytes(changed))
        for i in range(len(signature) * 8):
            changed = bytearray(signature)
            changed[i // 8] ^= 1 << i % 8
            with self.assertRaises(VerifyError):
                trust.verify(key_id(PUBLIC), bytes(changed), body)
        for key, cut in (("0" * 16, signature), (key_id(PUBLIC), b""), (key_id(PUBLIC), signature[:63])):
            with self.assertRaises(VerifyError):
                trust.verify(key, cut, body)


class Decisions(unittest.TestCase):
    def test_good(self):
        self.assertEqual(decode(event())["id"], "r=2E1.1.2")
        decode(event(state=[{"store": "users", "do": "restore", "snapshot": "s"}, {"do": "use", "namespace": "n"}], prev={"id": "r=2E1.1.1", "sha256": "0" * 64}))
        decode(event(routes=None, phase="prepare", action="start"))

    def test_bad(self):
        route = {"version": "a", "weight_bp": 10000}
        for changes, want in (
            ({"epoch": 0}, "epoch is 0"), ({"epoch": True}, "epoch is True"), ({"seq": "2"}, "seq is '2'"), ({"stage": -1}, "stage is -1"), ({"model": "n"}, "is of model 'n'"),
            ({"id": "r.1.1.2"}, "its id should be 'r=2E1.1.2'"), ({"mode": "maybe"}, "mode 'maybe' is unknown"), ({"action": "dance"}, "action 'dance' is unknown"),
            ({"severity": None}, "severity"), ({"actor": None}, "actor is missing"), ({"reason": {"code": "c"}}, "reason.sentence is missing"), ({"phase": "later"}, "phase"),
            ({"action": "rollback", "expires_at": "2026-01-02T03:04:05.678Z"}, "a rollback never expires"), ({"schema": "v2"}, "schema is 'v2'"), ({"rollout": ""}, "rollout is missing"),
            ({"prev": {"id": "x", "sha256": "0"}}, "prev.sha256"), ({"routes": [{"version": "a", "weight_bp": 9999}]}, "sum to 9999"), ({"routes": [route, route]}, "stands there twice"),
            ({"routes": [{"version": "a", "weight_bp": -1}]}, "outside 0..10000"), ({"routes": [{"version": "a", "weight_bp": 1e4}]}, "outside 0..10000"), ({"routes": [route] * 65}, "more than 64"),
            ({"state": [{"store": "s", "do": "burn"}]}, "'burn' is unknown"), ({"state": [{"store": "s", "do": "restore"}]}, "snapshot is missing"), ({"state": [{"do": "freeze"}]}, "store is missing"),
            ({"state": [{"do": "use"}]}, "namespace is missing"),
        ):
            with self.subTest(changes), self.assertRaisesRegex(DecodeError, want):
                decode(event(**changes))

    def test_bad_envelope(self):
        for key, value in (("specversion", "2"), ("type", "x"), ("datacontenttype", "text/plain"), ("source", ""), ("id", "x"), ("subject", "x"), ("data", [])):
            with self.subTest(key), self.assertRaises(DecodeError):
                decode({**event(), key: value})
        for body in (b"", b"[]", b"\xff", b"{" * 100, b" " * ((512 << 10) + 1)):
            with self.assertRaises(DecodeError):
                decode_decision(body, "m")

    def test_expired(self):
        past, future = "2026-01-02T03:04:05.678Z", "2999-01-02T03:04:05.678Z"
        self.assertFalse(expired({"action": "promote"}))
        self.assertTrue(expired({"action": "promote", "expires_at": past}))
        self.assertFalse(expired({"action": "promote", "expires_at": future}))
        self.assertFalse(expired({"action": "rollback", "expires_at": past}))
        with self.assertRaises(DecodeError):
            expired({"action": "promote", "expires_at": "soon"})


class Positions(unittest.TestCase):
    def test_stores(self):
        want = Position(Version(2, 3), Version(1, 4), "s1")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a", "b")
            for store in (Memory(), Dir(path)):
                self.assertEqual(store.load("m/1"), Position())
                store.save("m/1", Position(Version(9, 9)))
                store.save("m/1", want)
                self.assertEqual(store.load("m/1"), want)
                self.assertEqual(store.load("m=2F1"), Position())
            self.assertEqual(Dir(path).load("m/1"), want)
            with open(os.path.join(path, "m=2F1.json"), encoding="utf-8") as file:
                self.assertEqual(json.load(file), {"applied": {"epoch": 2, "seq": 3}, "routes": {"epoch": 1, "seq": 4}, "snapshot": "s1"})
            for text, why in (
                ('{"applied":', ""), ("[]", "applied is missing"), ('{"applied": {"epoch": 1, "seq": 2}}', "routes is missing"), ('{"applied": {"epoch": 1}}', "applied.seq is missing"), ("7", ""),
                ('{"applied": 7}', ""),
            ):
                with open(os.path.join(path, "t.json"), "w", encoding="utf-8") as file:
                    file.write(text)
                with self.subTest(text), self.assertRaisesRegex(ValueError, f"t.json: {why}.*remove the file"):
                    Dir(path).load("t")

    def test_shared(self):
        with tempfile.TemporaryDirectory() as folder:
            store = Dir(folder)
            with mock.patch("os.replace", side_effect=FileNotFoundError("m.json.new is gone")), self.assertRaisesRegex(OSError, f"positions in {folder}, too: give .* a folder of its own: m.json.new"):
                store.save("m", Position())

    def test_order(self):
        self.assertLess(Version(1, 9), Version(2, 1))
        self.assertLess(Version(2, 1), Version(2, 2))


class Wrong(unittest.TestCase):
    def test_options(self):
        good = {"models": ["m"], "consumer": "c", "trust": Trust(PUBLIC), "urls": ["nats://127.0.0.1:1"], "timeout": 0.2}
        for changes, error, want in (
            ({"urls": []}, ValueError, "neither urls nor conn"), ({"models": []}, ValueError, "models is empty"), ({"models": ["m", "m"]}, ValueError, "twice"),
            ({"trust": Trust()}, ValueError, "trust holds no key"), ({"consumer": ""}, ValueError, "empty"), ({"instance": "i" * 129}, ValueError, "129 bytes"),
            ({}, ConnectionError, "nats://127.0.0.1:1"),
        ):
            with self.subTest(changes), self.assertRaisesRegex(error, want):
                asyncio.run(run(Options(**{**good, **changes}), lambda d: None))


if __name__ == "__main__":
    unittest.main()
