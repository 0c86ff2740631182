"""Brings the route document, the decision log of a model, and what is asked again, to its follower."""

import asyncio
import base64
import json
from dataclasses import dataclass
from typing import Any, Awaitable, Callable, Optional, Tuple

import nats.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from . import names
from .decision import MAX_DECISION_BYTES
from .trust import decode_base64

REOPEN_AFTER = 1.0  # seconds before a reader that failed begins again
_IDLE = 2.0  # seconds without a message after which it is looked whether any was lost, or the reader is gone
_KEPT, _ONCE_KEPT = 60.0, 5.0  # seconds for which the server remembers a reader that doesn't ask; and one that reads only what stands there
_MAX_SIGNED_BYTES = MAX_DECISION_BYTES // 3 * 4 + 4096


@dataclass(frozen=True)
class Message:
    """One decision as it arrived: nothing of it is proven yet."""

    body: bytes
    key_id: str
    signature: bytes
    route: bool = False  # from the route document
    again: bool = False  # asked again, without routes
    before: bool = False  # the route document as it is read before the log: who has carried that out is asked nothing
    written: "Tuple[int, float]" = (0, 0.0)  # its number in the bucket, and when it was stored: tells what was written twice from what is read again; of the log (0, 0)


class _Lost(Exception):
    """A message was lost on its way: the reader begins again with what stands there now."""


class Reader:
    """Reads one subject of a stream: the last message that stands there, and then new ones. Whatever breaks it off, it begins again, with what stands there then, and never behind the
    number that it had; so nothing that matters is missed, also in a stream that was made anew, or restored from an older backup. Its consumer is in the server's memory alone, so it is gone then."""

    def __init__(self, js: JetStreamContext, stream: str, subject: str, ready: Callable[[], Awaitable[None]], before: "Optional[Callable[[Msg, bool], Awaitable[bool]]]" = None):
        self._js, self._stream, self._subject = js, stream, subject
        self._ready = ready  # returns where the server answers, and raises where it doesn't
        self._before = before  # is given the first message each time that it begins, before that is put, and later ones (with True) until it says that that is enough
        self.caught_up = asyncio.Event()  # what stood there at the beginning was read

    async def run(self, put: Callable[[Msg], Awaitable[None]], on_error: Callable[[Exception], None]) -> None:
        """Puts messages until it is cancelled."""
        told = ""
        while True:
            try:
                await self._read(put)
            except Exception as err:  # it goes on, whatever it was
                text = f"{type(err).__name__}: {err}"
                if text != told:
                    told = text
                    on_error(RuntimeError(f"read {self._subject} of stream {self._stream}: {text} (trying again)"))
            await asyncio.sleep(REOPEN_AFTER)

    async def now(self, put: Callable[[Msg], Awaitable[None]]) -> None:
        """Puts the message that stands there now, if one does."""
        await self._read(put, once=True)

    async def _read(self, put: Callable[[Msg], Awaitable[None]], once: bool = False) -> None:
        await self._ready()  # what is asked without a connection is kept, and all of it carried out with the next one: a consumer for each try
        config = ConsumerConfig(deliver_policy=DeliverPolicy.LAST_PER_SUBJECT, ack_policy=AckPolicy.NONE, inactive_threshold=_ONCE_KEPT if once else _KEPT, mem_storage=True, num_replicas=1)
        reader = await self._js.pull_subscribe(self._subject, stream=self._stream, config=config)
        try:
            if not (await reader.consumer_info()).num_pending:
                self.caught_up.set()
                if once:
                    return
            count, ready = 0, self._before is None or once
            while True:
                message = await self._next(reader, count)
                if message is None:
                    if once:
                        raise _Lost("what stands there did not come: is the account permitted to read it, as deploy/PROTOCOL.md lists?")
                    continue
                count += 1
                if message.metadata.sequence.consumer != count:
                    raise _Lost(f"message {count} of the reader did not come")
                if self._before is not None and not ready:
                    ready = await self._before(message, count > 1)
                await put(message)
                self.caught_up.set()
                if once:
                    return
        finally:
            try:
                await reader.unsubscribe()
            except (nats.errors.Error, asyncio.TimeoutError):
                pass  # the connection is gone, and the subscription with it

    async def _next(self, reader: Any, count: int) -> "Msg | None":
        """The next message; None where there was none for a while and none was lost."""
        try:
            return (await reader.fetch(1, timeout=_IDLE))[0]
        except (nats.errors.TimeoutError, asyncio.TimeoutError):
            pass
        delivered = (await reader.consumer_info()).delivered  # fails where the reader, or its stream, is gone
        if delivered is not None and delivered.consumer_seq > count and not reader.pending_msgs:
            raise _Lost(f"{delivered.consumer_seq - count} messages of the reader did not come")
        return None


def from_log(m: Msg) -> Message:
    """Reads a message of the decision log; a header that can't be read stays empty, and then nothing verifies."""
    headers = m.headers or {}
    return Message(m.data, headers.get(names.HEADER_KEY_ID, ""), decode_base64(headers.get(names.HEADER_SIGNATURE, "")))


def from_bucket(m: Msg, again: bool) -> "Message | None":
    """Reads the route document, or what is asked again: a decision, with who signed it. None where it was deleted; ValueError where it is none."""
    if (m.headers or {}).get(names.HEADER_KV_OPERATION):
        return None
    what = "decision that is asked again" if again else "route document"
    if len(m.data) > _MAX_SIGNED_BYTES:
        raise ValueError(f"{what}: it has {len(m.data)} bytes, {_MAX_SIGNED_BYTES} are allowed")
    try:
        value = json.loads(m.data)
        written = (m.metadata.sequence.stream, m.metadata.timestamp.timestamp())
        message = Message(base64.b64decode(value["body"], validate=True), str(value["key_id"]), decode_base64(value["signature"]), route=not again, again=again, written=written)
    except (ValueError, KeyError, TypeError) as err:
        raise ValueError(f"{what}: it is no signed decision: {err}") from None
    if not message.body or not message.key_id:
        raise ValueError(f"{what}: body or key_id is missing")
    return message
