"""Follows one model: decides what a message is worth, calls the handler, and answers."""

import asyncio
import hashlib
import inspect
import json
import math
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Any, Awaitable, Callable, Deque, Dict, List, Optional, Union

from . import names
from .decision import DecodeError, decode_decision, expired, timestamp
from .position import Position, Version
from .readers import Message, Reader, from_bucket, from_log
from .trust import VerifyError

WAITING = 16  # messages that wait while a handler works; beyond it the oldest is dropped, since only a newer decision matters, and on_error hears of it. So many decisions wait behind one that is to be tried again, too
MAX_UNSENT = 16  # acks that wait for a connection; beyond it the oldest is dropped, and on_error hears of it
MAX_WHY_BYTES = 256
RETRY_FIRST, RETRY_MOST = 1.0, 30.0  # pauses, in seconds, before a handler that failed is called again: doubled each time
ACK_RETRY = 1.0
GRACE = 1.0  # seconds that a call may still take once a newer decision has come

_REJECTIONS = ("stale-epoch", "incompatible-state", "capacity", "policy")


class Rejection(Exception):
    """What a handler raises to refuse a decision; why is one of incompatible-state, capacity and policy, any other word counts as policy."""

    def __init__(self, why: str):
        super().__init__(f"rejected: {why}")
        self.why = why


@dataclass
class Delivery:
    """One decision that was verified and is to be carried out."""

    decision: Dict[str, Any]  # as in `streamcanary schema decision`: the event's data
    body: bytes  # the exact bytes that were signed
    advise: bool = False  # the rollout only advises: don't act
    restored: bool = False  # it was carried out before, and its routes are in force: only make sure that they are
    attempt: int = 0  # counts the handler's calls for this decision, in this run, from 1: also where it had refused it, and is asked again
    snapshot: str = ""

    @property
    def routes(self) -> List[Dict[str, Any]]:
        """The full desired split of the traffic, in basis points; empty: nothing is asked."""
        return self.decision.get("routes") or []

    @property
    def state(self) -> List[Dict[str, Any]]:
        """What is asked of state stores."""
        return self.decision.get("state") or []

    @property
    def version(self) -> Version:
        """Where it stands in the model's order."""
        return _version(self.decision)

    def took(self, snapshot: str) -> None:
        """Says in the answer which snapshot was taken. See keep_state."""
        self.snapshot = snapshot


Handler = Callable[[Delivery], Union[None, Awaitable[None]]]


def _version(d: Dict[str, Any]) -> Version:
    return Version(d["epoch"], d["seq"])


async def call(function: Callable[..., Any], *args: Any) -> Any:
    """Calls a function: an async one here, a plain one in a thread of its own, so that the connection lives on while it works. A thread can't be ended: when the call
    is cancelled the thread is waited for, and what it comes to counts, so that nothing works on behind a newer decision's back. A second cancellation leaves it."""
    if inspect.iscoroutinefunction(function):
        return await function(*args)
    work = asyncio.ensure_future(asyncio.to_thread(function, *args))
    ended = False
    try:
        await asyncio.wait({work})
    except asyncio.CancelledError:
        ended = True
        await asyncio.wait({work})
    result = work.result()
    if not inspect.isawaitable(result):
        return result
    if ended:
        if inspect.iscoroutine(result):
            result.close()
        raise asyncio.CancelledError
    return await result


class Follower:
    """Follows one model. Its run task owns everything but the inbox."""

    def __init__(self, options: Any, js: Any, model: str, handler: Handler, ready: Callable[[], Awaitable[None]]):
        self._o, self._js, self._model, self._handler = options, js, model, handler
        self._inbox: "asyncio.Queue[Message]" = asyncio.Queue(1)  # beyond it the readers wait
        self._waiting: Deque[Message] = deque()  # came while the handler worked
        self._routes_reader = Reader(js, names.ROUTES_STREAM, names.route_subject(model), ready)
        self._again_reader = Reader(js, names.ROUTES_STREAM, names.again_subject(model), ready)
        self._log_reader = Reader(js, names.STREAM, names.decision_subject(model), ready, self._before_log)
        self._position: Position = options.store.load(model)
        self._seen = self._position.applied  # the highest verified one
        self._route_seen, self._route_written = Version(), (0, 0.0)  # the one that the route document last held, and that writing
        self._route_refused = (0, 0.0)  # the last writing that wasn't to be obeyed
        self._asked_written = (0, 0.0)  # the writing of what was asked again last
        self._overtaken = Version()  # the last one that was being carried out when a newer one came: it is not called again
        self._restored = False  # the routes in force were handed over in this run
        self._called, self._calls = Version(), 0  # the version that the handler was called for last, and how often in this run
        self._failures = 0  # of these calls
        self._pending: Optional[Delivery] = None
        self._retry_at = 0.0  # of pending, on the monotonic clock
        self._behind: "Deque[tuple[Dict[str, Any], Message]]" = deque()  # came while pending is to be tried again, and don't take its place, by version
        self._unsent: Deque[Dict[str, Any]] = deque()

    def _tell(self, what: str) -> None:
        self._o.on_error(RuntimeError(f"model {self._model}: {what}"))

    async def read_routes(self) -> None:
        """Puts the model's route document, then its changes, into the inbox."""
        await self._routes_reader.run(self._put_route, lambda err: self._tell(str(err)))

    async def read_log(self) -> None:
        """Puts the model's last decision, then new ones, into the inbox; the route document comes first."""
        await self._routes_reader.caught_up.wait()
        await self._log_reader.run(self._put_log, lambda err: self._tell(str(err)))

    async def read_again(self) -> None:
        """Puts what is asked again into the inbox: the last of it, then what comes."""
        await self._again_reader.run(self._put_again, lambda err: self._tell(str(err)))

    async def _before_log(self, m: Any, again: bool) -> bool:
        """Puts the route document as it stands, before the log's first message, and reports whether it could. Behind a lost connection that may ask for no split, and an older decision, which the log
        doesn't give any more, for the split that is to be: once the newer one was carried out, that would be passed over for good. A bucket that doesn't answer holds up what asks for a split once, and no longer."""
        split = _asks_split(m.data, self._model)
        if split and again:
            return False
        try:
            await self._routes_reader.now(self._put_before)
            return True
        except Exception as err:
            if not split:
                raise
            self._tell(f"read the route document: {type(err).__name__}: {err} (a rollback, and all that asks for a split, is carried out without it)")
            return False

    async def _put_route(self, m: Any) -> None:
        await self._put_entry(m, again=False)

    async def _put_before(self, m: Any) -> None:
        await self._put_entry(m, again=False, before=True)

    async def _put_again(self, m: Any) -> None:
        await self._put_entry(m, again=True)

    async def _put_entry(self, m: Any, again: bool, before: bool = False) -> None:
        try:
            message = from_bucket(m, again)
        except ValueError as err:
            self._tell(str(err))
            return
        if message is not None:
            await self._inbox.put(replace(message, before=before))

    async def _put_log(self, m: Any) -> None:
        await self._inbox.put(from_log(m))

    async def run(self) -> None:
        """Handles messages and retries until it is cancelled."""
        self._arriving = asyncio.ensure_future(self._inbox.get())
        try:
            while True:
                if self._pending is None and self._behind:
                    await self._place(*self._behind.popleft(), again=False)
                elif self._waiting:
                    await self._consider(self._waiting.popleft())
                else:
                    await asyncio.wait({self._arriving}, timeout=self._next())
                    if self._arriving.done():
                        await self._consider(self._arrived())
                await self._retry()
        finally:
            self._arriving.cancel()

    def _arrived(self) -> Message:
        """Takes the message that has arrived."""
        message, self._arriving = self._arriving.result(), asyncio.ensure_future(self._inbox.get())
        return message

    def _next(self) -> Optional[float]:
        """How long until something is to be tried again; None: never."""
        waits = [ACK_RETRY] if self._unsent else []
        if self._pending is not None:
            waits.append(max(0.0, self._retry_at - time.monotonic()))
        return min(waits, default=None)

    async def _retry(self) -> None:
        await self._send_acks()
        if self._pending is not None and time.monotonic() >= self._retry_at:
            await self._carry_out(self._pending)

    def _verified(self, m: Message) -> Optional[Dict[str, Any]]:
        """The decision of a message; None, and on_error hears why, where it is not to be obeyed."""
        try:
            self._o.trust.verify(m.key_id, m.signature, m.body)
            d = decode_decision(m.body, self._model)
            expired(d)  # can be said of it
            return d
        except (VerifyError, DecodeError) as err:
            self._tell(f"a decision is not obeyed: {err}")
            return None

    async def _consider(self, m: Message) -> None:
        """Decides what a message is worth: nothing, an answer, or a call of the handler."""
        if m.route and m.written == self._route_refused:
            return  # it is read again whenever a reader begins
        d = self._verified(m)
        if d is None:
            if m.route:
                self._route_refused = m.written
            return
        version = _version(d)
        again = self._asks_again(version, m)
        if m.again and (version != self._seen or not again):
            return  # the log says what is to be; there it hasn't come yet, or is over
        await self._place(d, m, again)

    async def _place(self, d: Dict[str, Any], m: Message, again: bool) -> None:
        """Does what is due for a decision. One that doesn't take the place of what is to be tried again waits until that is done: it must neither be lost for a decision of another
        matter, nor come after it."""
        version, at = _version(d), self._position
        if _moves(d) and not self._restored and version == at.routes and self._seen == at.applied:
            self._restored = True  # its routes are in force, and this run has not handed them over
            await self._carry_out(Delivery(d, m.body, restored=True))
        elif version == at.applied == self._seen:
            if not m.before:
                await self._answer(d, *_done(d, at.snapshot))  # carried out already: only answer again
        elif version <= max(at.applied, self._overtaken) or version < self._seen or (version == self._seen and not again):
            if not m.route and version.epoch < at.applied.epoch:
                await self._answer(d, "rejected", "stale-epoch")
        elif self._pending is not None and self._pending.version != version:
            self._wait(self._pending, d, m)
        else:
            self._seen = version
            if not self._passed(d):
                await self._obey(d, m.body)

    def _wait(self, pending: Delivery, d: Dict[str, Any], m: Message) -> None:
        """Puts a decision behind the one that is to be tried again, which it ends if it takes its place. They wait in the order of their versions: the route document's may come
        after a newer one of the log."""
        if any(_version(waits) == _version(d) for waits, _ in self._behind):
            return
        if len(self._behind) == WAITING:
            self._drop(pending, d)
        self._behind.insert(sum(_version(waits) < _version(d) for waits, _ in self._behind), (d, m))
        if _takes_over(d, pending.decision, self._o.consumer):
            self._pending = None

    def _drop(self, pending: Delivery, newest: Dict[str, Any]) -> None:
        """Makes room for one more that waits: the first of which a newer one says all will be passed over anyhow. Where there is none, the oldest goes."""
        waiting, consumer = [d for d, _ in self._behind], self._o.consumer
        for at, d in enumerate(waiting):
            if any(_takes_over(n, d, consumer) and _says_all(n, d, consumer) for n in waiting + [newest]):
                del self._behind[at]
                return
        self._behind.popleft()
        self._tell(f"{WAITING} decisions wait for decision {pending.decision['id']}, the oldest of them ({waiting[0]['id']}) is dropped")

    def _passed(self, d: Dict[str, Any]) -> bool:
        """Whether a newer decision that waits takes the place of one that was not handed over yet: that one is passed over."""
        waiting = [self._verified(m) for m in self._waiting if not m.again]  # what is asked again brings no decision of its own
        waiting += [behind for behind, _ in self._behind]
        return any(n is not None and _takes_over(n, d, self._o.consumer) and _says_all(n, d, self._o.consumer) for n in waiting)

    def _asks_again(self, version: Version, m: Message) -> bool:
        """Whether a decision that was refused is asked for once more: by one more writing, and not where what was written before is read again."""
        if m.again:
            again, self._asked_written = m.written != self._asked_written, m.written
            return again
        if m.route:
            again = version == self._route_seen and m.written != self._route_written
            self._route_seen, self._route_written = version, m.written
            return again
        return False

    async def _obey(self, d: Dict[str, Any], body: bytes) -> None:
        """Answers that a decision was received, and carries it out."""
        if expired(d):
            self._pending = None
            await self._answer(d, "rejected", "policy")
            return
        await self._answer(d, "received")
        await self._carry_out(Delivery(d, body, advise=d["mode"] != "enforce"))

    async def _carry_out(self, delivery: Delivery) -> None:
        """Calls the handler and answers by what came of it."""
        self._pending = None
        if self._called != delivery.version:
            self._called, self._calls, self._failures = delivery.version, 0, 0
        self._calls += 1
        delivery = replace(delivery, attempt=self._calls, snapshot="")
        d = delivery.decision
        work = await self._call(delivery)
        try:
            work.result()
            self._keep(delivery)
        except Rejection as err:
            await self._answer(d, "rejected", err.why if err.why in _REJECTIONS else "policy")
        except (Exception, asyncio.CancelledError) as err:
            await self._failed(delivery, err)
        else:
            await self._answer(d, *_done(d, self._position.snapshot))

    async def _call(self, delivery: Delivery) -> "asyncio.Future[Any]":
        """Calls the handler, waits for its end, and returns what came of it. A newer decision that takes its place, and orders something else, ends a call that hangs."""
        work = asyncio.ensure_future(call(self._handler, delivery))
        try:
            ends = math.inf  # when the call is ended, on the monotonic clock
            if any(self._ends(m, delivery.decision) for m in self._waiting):  # came while an older one was carried out
                self._overtaken, ends = delivery.version, time.monotonic() + GRACE
            while not work.done():
                left = None if ends == math.inf else max(0.0, ends - time.monotonic())
                await asyncio.wait({work, self._arriving}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    break
                if self._arriving.done() and self._waits(self._arrived(), delivery.decision) and self._overtaken != delivery.version:
                    self._overtaken, ends = delivery.version, time.monotonic() + GRACE
                if time.monotonic() >= ends:
                    ends = math.inf  # once: a plain handler is waited for
                    work.cancel()
        finally:
            while not work.done():  # stopped: the handler is waited for
                work.cancel()
                try:
                    await asyncio.wait({work})
                except asyncio.CancelledError:
                    pass  # it is cancelled once more
            if not work.cancelled():
                work.exception()  # seen: after a stop nobody asks for it
        return work

    def _waits(self, m: Message, d: Dict[str, Any]) -> bool:
        """Lets a message that came while the handler works wait, and reports whether the call is ended for it. What isn't to be obeyed doesn't wait."""
        if self._verified(m) is None:
            return False
        self._waiting.append(m)
        if len(self._waiting) > WAITING:
            self._make_room()
        return self._ends(m, d)

    def _make_room(self) -> None:
        """Drops the first message that is worth nothing of those that wait for the handler: a repetition, or of which a newer one says all. Where there is none, the oldest goes."""
        waiting, consumer = [self._verified(m) for m in self._waiting], self._o.consumer
        newer = [d for d, m in zip(waiting, self._waiting) if d is not None and not m.again]  # what is asked again brings no decision of its own
        for at, d in enumerate(waiting):
            if d is None or _version(d) <= self._seen or any(_takes_over(n, d, consumer) and _says_all(n, d, consumer) for n in newer):
                del self._waiting[at]
                return
        self._waiting.popleft()
        self._tell(f"{WAITING} messages wait for the handler, the oldest of them (decision {(waiting[0] or {}).get('id')}) is dropped")

    def _ends(self, m: Message, d: Dict[str, Any]) -> bool:
        """Whether a message is a newer decision for which a call is ended: one that takes its place, and orders anything else."""
        newer, consumer = self._verified(m), self._o.consumer
        return newer is not None and _version(newer) > self._seen and _takes_over(newer, d, consumer) and not _orders_same(newer, d, consumer)

    async def _failed(self, delivery: Delivery, err: BaseException) -> None:
        """Answers for a call that failed, and tries it again, except where a newer decision has come."""
        d = delivery.decision
        if self._overtaken == delivery.version:
            self._tell(f"the call for decision {d['id']} was ended, a newer decision came: {err!r}")  # what it left undone, and the answer, is the newer one's now
            return
        self._pending = delivery
        self._retry_at = time.monotonic() + min(RETRY_FIRST * 2 ** min(self._failures, 10), RETRY_MOST)
        self._failures += 1
        self._tell(f"decision {d['id']} (attempt {delivery.attempt}): {err!r}")
        await self._answer(d, "failed", _why(err))

    def _keep(self, delivery: Delivery) -> None:
        """Notes that a decision is carried out, before it is answered for."""
        if delivery.restored:
            return
        version = delivery.version
        moved = bool(delivery.routes) and not delivery.advise
        position = Position(version, version if moved else self._position.routes, delivery.snapshot)
        self._o.store.save(self._model, position)
        self._position = position
        self._restored = self._restored or moved

    async def _answer(self, d: Dict[str, Any], status: str, why: str = "", snapshot: str = "") -> None:
        """Acknowledges a decision, now or as soon as the connection allows."""
        if len(self._unsent) == MAX_UNSENT:
            dropped = self._unsent.popleft()
            self._tell(f"ack {dropped['status']} of decision {dropped['decision']} could not be sent and is dropped")
        ack = {"decision": d["id"], "epoch": d["epoch"], "seq": d["seq"], "consumer": self._o.consumer, "instance": self._o.instance, "status": status}
        if why:
            ack["why"] = why.encode()[:MAX_WHY_BYTES].decode(errors="ignore")
        if snapshot:
            ack["snapshot"] = snapshot
        ack["at"] = timestamp()
        self._unsent.append(ack)
        await self._send_acks()

    async def _send_acks(self) -> None:
        """Sends what waits, in order; what can't be sent waits on."""
        while self._unsent:
            ack = self._unsent[0]
            identity = _message_id(ack)
            body = json.dumps(ack, ensure_ascii=False, separators=(",", ":")).encode()
            try:
                await self._js.publish(names.ack_subject(self._model, self._o.consumer), body, timeout=self._o.timeout, headers={names.HEADER_MESSAGE_ID: identity})
            except Exception as err:  # it is tried again, whatever it was
                self._tell(f"ack {ack['status']} of decision {ack['decision']} waits: {err!r}")
                return
            self._unsent.popleft()


def _message_id(ack: Dict[str, Any]) -> str:
    """The id that an ack is published with: a true repetition within the stream's window of duplicates is one ack; another reason, or a snapshot that is named only now, isn't."""
    said = hashlib.sha256(f"{ack.get('why', '')}\n{ack.get('snapshot', '')}".encode()).hexdigest()[:16]
    return "/".join((ack["decision"], ack["consumer"], ack["instance"], ack["status"], said))


def _why(err: BaseException) -> str:
    """What failed, for people elsewhere: an error's own words where it was raised with a sentence, as those of systems and libraries; one of Python's own says little without its type (a KeyError only the key)."""
    text, kind = str(err), type(err)
    if text and (isinstance(err, (OSError, RuntimeError)) or kind is Exception or kind.__module__ != "builtins"):
        return text
    return f"{kind.__name__}: {text}" if text else kind.__name__


def _takes_over(newer: Dict[str, Any], older: Dict[str, Any], consumer: str) -> bool:
    """Whether a decision takes the place of another one that is being carried out, or is to be tried again: it is newer, will be carried out, and says all that the other one asks of
    this consumer. A store moves no traffic."""
    if _version(newer) <= _version(older) or expired(newer):
        return False
    was, now = _order_to(consumer, older), _order_to(consumer, newer)
    if not was:
        return _says_split(newer, older)
    if was == now:
        return True
    if was["do"] == "snapshot":  # of no use any more once its preparation has ended
        return newer["epoch"] > older["epoch"] or newer.get("phase") != "prepare"
    if newer["epoch"] > older["epoch"] and newer.get("phase") == "prepare" and newer["mode"] == "enforce":
        return True  # it begins over the state as it is: a restore that fails for good must not keep a hotfix from starting
    return now.get("do") in ("freeze", "unfreeze", "restore")


def _says_all(newer: Dict[str, Any], older: Dict[str, Any], consumer: str) -> bool:
    """Whether a decision that takes over also says all that is to be of one that nobody has begun yet: that a store goes back is said by nothing else."""
    was, now = _order_to(consumer, older), _order_to(consumer, newer)
    return _says_split(newer, older) and (was == now or was.get("do") not in ("restore", "snapshot"))


def _says_split(newer: Dict[str, Any], older: Dict[str, Any]) -> bool:
    """Whether a newer decision says all that is to be of the split, if an older one asks for one."""
    return _moves(newer) or not _moves(older)


def _moves(d: Dict[str, Any]) -> bool:
    """Whether a decision asks for a split."""
    return bool(d.get("routes")) and d["mode"] == "enforce"


def _asks_split(body: bytes, model: str) -> bool:
    """Whether a message, of which nothing is verified yet, asks for a split."""
    try:
        return _moves(decode_decision(body, model))
    except Exception:  # whatever somebody may have written there
        return False


def _orders_same(newer: Dict[str, Any], older: Dict[str, Any], consumer: str) -> bool:
    """Whether two decisions ask the same of a consumer: a call for the older one does what the newer one asks."""
    was = _order_to(consumer, older)
    if was:
        return was == _order_to(consumer, newer)
    return all((newer.get(key) or None) == (older.get(key) or None) for key in ("mode", "routes", "unit", "salt", "state", "cache"))


def _order_to(consumer: str, d: Dict[str, Any]) -> Dict[str, Any]:
    """What a decision asks of a store's state; empty: nothing."""
    orders = (d.get("state") or []) if d["mode"] == "enforce" else []
    return next((o for o in orders if o.get("store") == consumer), {})


def _done(d: Dict[str, Any], snapshot: str) -> "tuple[str, str, str]":
    """Status, why and snapshot of the answer for a decision that was carried out."""
    if d["mode"] != "enforce":
        return "received", "", ""
    if d.get("phase") == "prepare":
        return "prepared", "", snapshot
    return "applied", "", ""
