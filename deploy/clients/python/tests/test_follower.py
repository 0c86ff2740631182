"""A handler's call, and what comes while it is under way: a follower without a server."""

import asyncio
import base64
import contextlib
import io
import itertools
import json
import threading
import unittest
from dataclasses import replace
from unittest import mock

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nats.js.errors import NotFoundError
from test_client import KEY, PUBLIC, event

from streamcanary_subscribe import Memory, Options, Position, Rejection, Trust, Version, follower, keep_state, names
from streamcanary_subscribe.follower import WAITING, Follower
from streamcanary_subscribe.readers import Message
from streamcanary_subscribe.trust import key_id

LONG = 10  # seconds after which a test has failed
WRITINGS = itertools.count(1)


def message(epoch, seq, route=False, key=KEY, **changes):
    """A decision as it arrives, signed with key, under the id of the key that is trusted; each one asks for another split."""
    changes = {"routes": [{"version": "a", "weight_bp": seq}, {"version": "b", "weight_bp": 10000 - seq}], **changes}
    body = json.dumps(event(id=f"r=2E1.{epoch}.{seq}", epoch=epoch, seq=seq, **changes)).encode()
    return Message(body, key_id(PUBLIC), key.sign(body), route, written=(next(WRITINGS), 0.0))


ROUTES = [{"version": "a", "weight_bp": 1}, {"version": "b", "weight_bp": 9999}]


def order(do, snapshot="s"):
    """What is asked of the store c, without a split."""
    return {"routes": None, "state": [{"store": "c", "do": do, "snapshot": snapshot}]}


class Log:
    """Takes acks in place of JetStream."""

    def __init__(self):
        self.acks = []

    async def publish(self, _subject, body, **_):
        ack = json.loads(body)
        words = [f"{ack['epoch']}.{ack['seq']}", ack["status"]] + ([ack["why"]] if "why" in ack else [])
        self.acks.append(" ".join(words))


class Standing(Log):
    """Has one message in the decision log and one in the route document, too, which readers are given."""

    def __init__(self, last, route):
        super().__init__()
        signed = {"body": base64.b64encode(route.body).decode(), "key_id": route.key_id, "signature": base64.b64encode(route.signature).decode()}
        self.messages = {
            names.STREAM: self.logged(last),
            names.ROUTES_STREAM: (json.dumps(signed).encode(), None),
        }

    broken = None  # what keeps the bucket from being read
    mute = False  # the bucket says that a message stands there, and never gives it
    asked = 0  # how often the bucket was
    behind = None  # what comes in the log, too

    @staticmethod
    def logged(m):
        return m.body, {names.HEADER_KEY_ID: m.key_id, names.HEADER_SIGNATURE: base64.b64encode(m.signature).decode()}

    async def pull_subscribe(self, _subject, stream, **_):
        if self.broken is not None and stream == names.ROUTES_STREAM:
            raise self.broken
        stand = [self.messages[stream]]
        if stream == names.ROUTES_STREAM:
            self.asked += 1
            if self.mute:
                stand = []
        elif self.behind is not None:
            stand.append(self.logged(self.behind))
        given = []
        for number, (data, headers) in enumerate(stand, 1):
            m = mock.Mock(data=data, headers=headers)
            m.metadata.sequence.consumer, m.metadata.sequence.stream, m.metadata.timestamp.timestamp.return_value = number, number, 1.0
            given.append(m)

        async def fetch(_count, **_):
            if not given and self.mute and stream == names.ROUTES_STREAM:
                raise asyncio.TimeoutError()
            if not given:
                await asyncio.sleep(LONG)
            return [given.pop(0)]

        info = mock.Mock(num_pending=1)
        info.delivered.consumer_seq = 0
        return mock.Mock(consumer_info=mock.AsyncMock(return_value=info), fetch=fetch, unsubscribe=mock.AsyncMock(), pending_msgs=0)


class Fixture:
    """A follower that runs, and what it says."""

    def __init__(self, handler, log=None):
        self.log, self.errors, self.store = log or Log(), [], Memory()
        options = Options(models=["m"], consumer="c", trust=Trust(PUBLIC), instance="i", store=self.store, on_error=lambda err: self.errors.append(str(err)))
        self.follower = Follower(options, self.log, "m", handler, mock.AsyncMock())

    async def __aenter__(self):
        self.work = asyncio.ensure_future(self.follower.run())
        return self

    async def __aexit__(self, *_):
        self.work.cancel()
        await asyncio.wait_for(asyncio.wait({self.work}), LONG)

    async def send(self, *messages):
        for m in messages:
            await asyncio.wait_for(self.follower._inbox.put(m), LONG)

    async def until(self, condition):
        async def wait():
            while not condition():
                await asyncio.sleep(0.001)

        await asyncio.wait_for(wait(), LONG)

    async def answered(self, *acks):
        await self.until(lambda: len(self.log.acks) >= len(acks))
        await self.settled()
        assert self.log.acks == list(acks), self.log.acks

    async def settled(self):
        """Lets the follower do what it can do now."""
        for _ in range(100):
            await asyncio.sleep(0)


class Hung:
    """A handler that hangs at one decision, and does at its end what it is told to."""

    def __init__(self, seq=2, at_end=None):
        self.seq, self.at_end, self.calls, self.go = seq, at_end, [], asyncio.Event()

    async def handle(self, d):
        self.calls.append(f"{d.version.epoch}.{d.version.seq}")
        if d.version.seq != self.seq:
            return
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.calls.append("ended")
            if self.at_end is None:
                raise
            await self.at_end()


class Ended(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        grace = mock.patch.object(follower, "GRACE", 0.05)
        grace.start()
        self.addCleanup(grace.stop)

    async def test_grace(self):
        for outcome, acks in ((None, ["1.2 applied"]), (OSError("no disk"), []), (Rejection("capacity"), ["1.2 rejected capacity"])):
            go, ended = asyncio.Event(), []

            async def handler(d):
                if d.version.seq != 2:
                    return
                try:
                    await go.wait()
                except asyncio.CancelledError:
                    ended.append(d)
                    raise
                if outcome:
                    raise outcome

            with mock.patch.object(follower, "GRACE", LONG):
                async with Fixture(handler) as f:
                    await f.send(message(1, 2), message(1, 3))
                    await f.until(lambda: f.follower._overtaken == Version(1, 2))
                    go.set()  # in time
                    await f.answered("1.2 received", *acks, "1.3 received", "1.3 applied")
                    self.assertEqual(ended, [])

    async def test_newer(self):
        for newer in (message(1, 3), message(2, 1), message(1, 3, route=True), message(1, 3, action="rollback")):
            hung = Hung()
            async with Fixture(hung.handle) as f:
                await f.send(message(1, 2), newer)
                version = "2.1" if b'"epoch": 2' in newer.body else "1.3"
                await f.answered("1.2 received", f"{version} received", f"{version} applied")
                self.assertEqual(hung.calls, ["1.2", "ended", version])
                self.assertIsNone(f.follower._pending)
                self.assertIsNone(f.follower._next())  # nothing is tried again
                self.assertEqual(f.store.load("m").applied, Version(*map(int, version.split("."))))
                self.assertEqual(len(f.errors), 1)
                self.assertRegex(f.errors[0], r"model m: the call for decision r=2E1\.1\.2 was ended, a newer decision came")

    async def test_newer_but_expired(self):
        hung = Hung()
        async with Fixture(hung.handle) as f:
            await f.send(message(1, 2), message(1, 3, expires_at="2026-01-02T03:04:05.678Z"))
            await asyncio.sleep(2 * follower.GRACE)
            self.assertEqual(hung.calls, ["1.2"])
            hung.go.set()
            await f.answered("1.2 received", "1.2 applied", "1.3 rejected policy")

    async def test_newer_that_came_before_the_call(self):
        hung, go = Hung(seq=3), asyncio.Event()

        async def handle(d):
            await hung.handle(d)
            if d.version.seq == 2:
                await go.wait()

        with mock.patch.object(follower, "GRACE", LONG):
            async with Fixture(handle) as f:
                await f.send(message(1, 2, routes=None), message(1, 3, **order("restore")), message(1, 4, **order("unfreeze")))
                await f.until(lambda: len(f.follower._waiting) == 2)
                follower.GRACE = 0.05
                go.set()  # in time
                await f.answered("1.2 received", "1.2 applied", "1.3 received", "1.4 received", "1.4 applied")
                self.assertEqual(hung.calls, ["1.2", "1.3", "ended", "1.4"])

    async def test_what_ends_nothing(self):
        forged = Ed25519PrivateKey.from_private_bytes(bytes([2]) * 32)
        good = message(1, 3)
        for m, errors in (
            (message(1, 2), 0), (message(1, 2, route=True), 0), (message(1, 1), 0), (message(1, 3, key=forged), 1), (message(1, 3, model="n"), 1),
            (Message(good.body + b" ", good.key_id, good.signature, False), 1), (message(1, 3, routes=[{"version": "a", "weight_bp": 1}]), 1), (message(1, 3, expires_at="soon"), 1),
        ):
            with self.subTest(m):
                hung = Hung()
                async with Fixture(hung.handle) as f:
                    await f.send(message(1, 2), m)
                    await asyncio.sleep(2 * follower.GRACE)
                    self.assertEqual((hung.calls, len(f.errors)), (["1.2"], errors))
                    hung.go.set()
                    again = ["1.2 applied"] if b'"seq": 2' in m.body else []  # it is answered once more
                    await f.answered("1.2 received", "1.2 applied", *again)
                    self.assertEqual(hung.calls, ["1.2"])

    async def test_the_restored_one_is_ended_only_by_what_is_new(self):
        hung = Hung()
        async with Fixture(hung.handle) as f:
            f.follower._position = Position(Version(1, 5), Version(1, 2))
            f.follower._seen = Version(1, 5)
            await f.send(message(1, 2, route=True), message(1, 5))
            await asyncio.sleep(2 * follower.GRACE)
            self.assertEqual(hung.calls, ["1.2"])  # 1.5 was carried out before
            await f.send(message(1, 6))
            await f.answered("1.5 applied", "1.6 received", "1.6 applied")
            self.assertEqual(hung.calls, ["1.2", "ended", "1.6"])

    async def test_what_takes_the_place_of_another(self):
        split, frozen, thawed, back = {}, order("freeze"), order("unfreeze"), order("restore")
        for older, newer, takes, ends in (
            (split, split, True, True), (split, {"routes": None}, False, False), (split, {"mode": "advise"}, False, False), (split, {"routes": ROUTES}, True, False),
            ({"routes": None}, {"routes": None}, True, False), ({"routes": None}, split, True, True), ({"mode": "advise"}, {"routes": None}, True, True),
            (frozen, frozen, True, False), (frozen, thawed, True, True), (frozen, back, True, True), (frozen, {"routes": None}, False, False), (thawed, frozen, True, True), (thawed, order("snapshot"), False, False),
            (back, thawed, True, True), (back, {"routes": None}, False, False), (back, order("restore", "s2"), True, True), (order("snapshot"), {"phase": "prepare"}, False, False), (order("snapshot"), {"phase": "abort"}, True, True),
            ({"routes": ROUTES, **frozen}, frozen, True, False),  # a store moves no traffic
        ):
            older, newer = ({"routes": ROUTES, **older}, {"routes": [{"version": "b", "weight_bp": 10000}], **newer})
            with self.subTest((older, newer)):
                hung = Hung()
                async with Fixture(hung.handle) as f:
                    await f.send(message(1, 2, **older), message(1, 3, **newer))
                    if ends:
                        await f.until(lambda: "ended" in hung.calls)
                    await asyncio.sleep(2 * follower.GRACE)
                    self.assertEqual("ended" in hung.calls, ends)
                calls = []

                async def fails(d):
                    calls.append(d.version.seq)
                    if d.attempt == 1:
                        raise OSError("no disk")

                async with Fixture(fails) as f:
                    await f.send(message(1, 2, **older))
                    await f.until(lambda: len(f.log.acks) == 2)
                    await f.send(message(1, 3, **newer))
                    if not takes:
                        await f.until(lambda: f.follower._behind)
                        f.follower._retry_at = 0
                        await f.send(message(1, 1))  # wakes it
                    await f.until(lambda: len(calls) > 2 or takes and len(calls) > 1)
                    self.assertEqual(calls[:3], [2, 3] if takes else [2, 2, 3])

    async def test_order_behind(self):
        calls = []

        async def fails(d):
            calls.append(f"{d.version.epoch}.{d.version.seq}")
            if d.version.seq == 2:
                raise OSError("no disk")

        async with Fixture(fails) as f:
            await f.send(message(1, 2))
            await f.until(lambda: len(f.log.acks) == 2)
            await f.send(message(2, 1, routes=None), message(1, 3, route=True))  # the log's last one comes first, after a lost connection
            await f.until(lambda: "2.1 applied" in f.log.acks)
            self.assertEqual(calls, ["1.2", "1.3", "2.1"])
            self.assertEqual(f.store.load("m"), Position(Version(2, 1), Version(1, 3)))

    async def test_log_read_before_the_route_document(self):
        calls = []

        async def handler(d):
            calls.append(f"{d.version.epoch}.{d.version.seq}")

        # The log's reader begins again behind a lost connection, and that of the route document has not yet.
        async with Fixture(handler, Standing(message(2, 1, routes=None), message(1, 3))) as f:
            f.follower._routes_reader.caught_up.set()
            reading = asyncio.ensure_future(f.follower.read_log())
            await f.until(lambda: "2.1 applied" in f.log.acks)
            reading.cancel()
            self.assertEqual(calls, ["1.3", "2.1"])
            self.assertEqual(f.store.load("m"), Position(Version(2, 1), Version(1, 3)))

    async def test_one_that_waits_is_not_called_again(self):
        hung = Hung()
        async with Fixture(hung.handle) as f:
            await f.send(message(1, 2), *[message(1, 2, route=True) for _ in range(3)], message(1, 3))
            await f.answered("1.2 received", "1.3 received", "1.3 applied")
            self.assertEqual(hung.calls, ["1.2", "ended", "1.3"])

    async def test_read_again_is_not_asked_again(self):
        calls = []

        async def refuse(d):
            calls.append(d.attempt)
            raise Rejection("capacity")

        async with Fixture(refuse) as f:
            stands = message(1, 2, route=True)
            await f.send(stands, message(1, 2), *[stands] * 3)
            await f.until(lambda: calls)
            await f.settled()
            self.assertEqual(calls, [1])
            await f.send(message(1, 2, route=True))
            await f.until(lambda: len(calls) > 1)
            asked = replace(stands, route=False, again=True, written=(next(WRITINGS), 0.0))
            await f.send(asked, asked)
            await f.until(lambda: len(calls) > 2)
            await f.settled()
            self.assertEqual(calls, [1, 2, 3])

    async def test_many_wait(self):
        hung = Hung()
        async with Fixture(hung.handle) as f:
            await f.send(message(1, 2), *[message(1, 2)] * (3 * WAITING))
            await f.settled()
            self.assertEqual(len(f.follower._waiting), WAITING)
            self.assertEqual(f.errors, [])  # nobody misses a repetition
            await f.send(message(1, 3))
            await f.answered("1.2 received", "1.3 received", "1.3 applied")
            self.assertEqual(len(f.follower._waiting), 0)

    async def test_split_among_many(self):
        go = asyncio.Event()
        hung = Hung(at_end=go.wait)  # it doesn't end when it is told to
        async with Fixture(hung.handle) as f:
            await f.send(message(1, 2), message(1, 3), *[message(1, seq, routes=None) for seq in range(4, 4 + 2 * WAITING)])
            await f.settled()
            self.assertEqual((f.errors, len(f.follower._waiting)), ([], WAITING))
            await f.until(lambda: "ended" in hung.calls)
            go.set()
            await f.until(lambda: f.log.acks[-1:] == ["1.35 applied"])
            self.assertEqual(hung.calls, ["1.2", "ended", "1.3", "1.35"])
            self.assertEqual(f.store.load("m"), Position(Version(1, 35), Version(1, 3)))

    async def test_many_that_differ(self):
        hung = Hung()
        async with Fixture(hung.handle) as f:
            await f.send(message(1, 2), *[message(1, seq, **order("restore", str(seq))) for seq in range(3, 4 + WAITING)])
            await f.settled()
            self.assertEqual([e.split(": ", 1)[1] for e in f.errors], [f"{WAITING} messages wait for the handler, the oldest of them (decision r=2E1.1.3) is dropped"])

    async def test_log_that_ends_with_garbage(self):
        # Whatever somebody wrote there last: the route document is read before it, and the reader goes on.
        for body in (b"[" * 100_000, b"{}", json.dumps(event(rollout="\ud800")).encode(), message(1, 3).body):
            garbage = Message(body, "none", b"")
            async with Fixture(mock.AsyncMock(), Standing(garbage, message(1, 3))) as f:
                f.follower._routes_reader.caught_up.set()
                reading = asyncio.ensure_future(f.follower.read_log())
                await f.until(lambda: "1.3 applied" in f.log.acks and f.errors)
                reading.cancel()
                self.assertTrue(all("a decision is not obeyed" in e for e in f.errors), f.errors)

    async def test_route_document_that_does_not_come(self):
        for err, goes_on in ((None, True), (NotFoundError(code=404, err_code=10059), False), (NotFoundError(code=404, err_code=10014), False), (asyncio.TimeoutError(), False)):
            for last in (message(2, 1, routes=None), message(2, 1)):
                log = Standing(last, message(1, 3))
                log.broken = err
                async with Fixture(mock.AsyncMock(), log) as f:
                    f.follower._routes_reader.caught_up.set()
                    reading = asyncio.ensure_future(f.follower.read_log())
                    split = b'"weight_bp"' in last.body
                    await f.until(lambda: "2.1 applied" in f.log.acks or f.errors and not split)
                    reading.cancel()
                    self.assertEqual("2.1 applied" in f.log.acks, goes_on or split, (err, f.errors))
                    self.assertEqual(bool(f.errors), not goes_on, (err, f.errors))

    async def test_route_document_that_never_comes(self):
        # What asks for a split is waited with once, and what asks for none waits on; both are told.
        for last, given, told in ((message(2, 3), ["2.2 applied", "2.3 applied"], "a rollback, and all that asks for a split, is carried out without it"), (message(2, 3, routes=None), ["2.2 applied"], "trying again")):
            log = Standing(message(2, 2), message(1, 3))
            log.asked, log.mute, log.behind = 0, True, last
            with mock.patch("streamcanary_subscribe.readers._IDLE", 0.01):
                async with Fixture(mock.AsyncMock(), log) as f:
                    f.follower._routes_reader.caught_up.set()
                    reading = asyncio.ensure_future(f.follower.read_log())
                    await f.until(lambda: [a for a in log.acks if "applied" in a] == given and any(told in e for e in f.errors))
                    reading.cancel()
                    self.assertTrue(all("what stands there did not come: is the account permitted to read it" in e for e in f.errors), f.errors)
                    self.assertEqual(log.asked, 1 if last.body.find(b"weight_bp") > 0 else 2)

    async def test_newest_after_one_that_ends_slowly(self):
        go = asyncio.Event()
        hung = Hung(at_end=go.wait)
        async with Fixture(hung.handle) as f:
            await f.send(message(1, 2), message(1, 3))
            await f.until(lambda: "ended" in hung.calls)
            await f.send(message(1, 4), message(1, 5), *[message(1, 5)] * WAITING)  # more than wait: the newest does
            await f.settled()
            self.assertLessEqual(len(f.follower._waiting), WAITING)
            self.assertEqual((hung.calls, f.log.acks), (["1.2", "ended"], ["1.2 received"]))
            go.set()
            await f.until(lambda: "1.5 applied" in f.log.acks)
            self.assertEqual(hung.calls, ["1.2", "ended", "1.5"])
            self.assertEqual(f.log.acks[:3], ["1.2 received", "1.2 applied", "1.5 received"])

    async def test_what_one_that_catches_comes_to(self):
        async def returns():
            await asyncio.sleep(0.01)

        async def fails():
            raise OSError("no disk")

        async def refuses():
            raise Rejection("capacity")

        for at_end, acks in ((returns, ["1.2 applied"]), (fails, []), (refuses, ["1.2 rejected capacity"])):
            hung = Hung(at_end=at_end)
            async with Fixture(hung.handle) as f:
                await f.send(message(1, 2), message(1, 3))
                await f.answered("1.2 received", *acks, "1.3 received", "1.3 applied")
                self.assertEqual(hung.calls, ["1.2", "ended", "1.3"])

    async def test_plain_ones_are_waited_for(self):
        class Keeper:
            def __init__(self):
                self.calls, self.go = [], threading.Event()

            def freeze(self, _):
                self.calls.append("freeze")
                self.go.wait(LONG)
                self.calls.append("frozen")

            def unfreeze(self):
                self.calls.append("unfreeze")

        k = Keeper()
        for handler in (keep_state("c", k), lambda d: k.freeze("") if d.version.seq == 2 else k.unfreeze()):
            k.calls, k.go = [], threading.Event()
            async with Fixture(handler) as f:
                await f.send(message(1, 2, state=[{"store": "c", "do": "freeze", "snapshot": "s"}]), message(1, 3, state=[{"store": "c", "do": "unfreeze"}]))
                await f.until(lambda: f.follower._overtaken == Version(1, 2))
                await asyncio.sleep(2 * follower.GRACE)
                self.assertEqual(k.calls, ["freeze"])
                k.go.set()
                await f.answered("1.2 received", "1.2 applied", "1.3 received", "1.3 applied")
                self.assertEqual(k.calls, ["freeze", "frozen", "unfreeze"])

    async def test_a_plain_one_that_hands_an_async_one_over(self):
        hung, go = Hung(), threading.Event()

        def handler(d):
            if d.version.seq == 2:
                go.wait(LONG)
            return hung.handle(d)

        async with Fixture(handler) as f:
            await f.send(message(1, 2), message(1, 3))
            await f.until(lambda: f.follower._overtaken == Version(1, 2))
            await asyncio.sleep(2 * follower.GRACE)
            go.set()
            await f.until(lambda: "1.3 applied" in f.log.acks)
            self.assertEqual(f.log.acks, ["1.2 received", "1.3 received", "1.3 applied"])
            self.assertEqual(hung.calls, ["1.3"])

    async def test_one_that_ends_itself_has_failed(self):
        async def handler(d):
            if d.attempt == 1:
                raise asyncio.CancelledError

        async with Fixture(handler) as f:
            await f.send(message(1, 2))
            await f.answered("1.2 received", "1.2 failed CancelledError")
            f.follower._retry_at = 0
            await f.send(message(1, 1))  # wakes it
            await f.answered("1.2 received", "1.2 failed CancelledError", "1.2 applied")

    async def test_stop(self):
        hung = Hung()
        async with Fixture(hung.handle) as f:
            await f.send(message(1, 2))
            await f.until(lambda: hung.calls)
        self.assertTrue(f.work.cancelled())
        self.assertEqual((hung.calls, f.log.acks), (["1.2", "ended"], ["1.2 received"]))


class Errors(unittest.TestCase):
    def test_go_to_stderr(self):
        with contextlib.redirect_stderr(io.StringIO()) as err:
            Options(models=["m"], consumer="c", trust=Trust(PUBLIC)).on_error(RuntimeError("model m: one\n two"))
        self.assertEqual(err.getvalue(), "streamcanary: model m: one two\n")

    def test_why(self):
        for err, want in (
            (KeyError("phase"), "KeyError: 'phase'"), (TypeError("no len()"), "TypeError: no len()"), (AssertionError(), "AssertionError"), (asyncio.CancelledError(), "CancelledError"),
            (OSError("no disk"), "no disk"), (TimeoutError("no answer"), "no answer"), (RuntimeError("no room"), "no room"), (Exception("it failed"), "it failed"), (json.JSONDecodeError("no value", "", 0), "no value: line 1 column 1 (char 0)"),
        ):
            self.assertEqual(follower._why(err), want)


if __name__ == "__main__":
    unittest.main()
