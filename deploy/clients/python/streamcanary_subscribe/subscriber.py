"""Connects, and runs a follower for each model."""

import asyncio
import socket
import ssl
import sys
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, List, Optional

import nats
from nats.aio.client import Client

from . import names
from .follower import Follower, Handler
from .position import Memory, Store
from .trust import Trust

DEFAULT_TIMEOUT = 5.0
_AGAIN = 0.2  # seconds


def _to_stderr(err: Exception) -> None:
    """Writes an error to standard error, as one line."""
    print("streamcanary:", " ".join(str(err).split()), file=sys.stderr, flush=True)


@dataclass
class Options:
    """Says what to follow, whom to trust, and who one is. urls or conn, models, consumer and trust are needed."""

    models: List[str]
    consumer: str  # names what acknowledges, e.g. "router-eu": what a rollout's `acks` may ask for; all instances share it
    trust: Trust  # the keys whose decisions are obeyed
    urls: List[str] = field(default_factory=list)
    conn: Optional[Client] = None  # used instead of urls, and left open
    creds_file: str = ""  # a NATS credentials file
    tls: Optional[ssl.SSLContext] = None
    instance: str = ""  # tells instances apart; default: the host's name
    store: Store = field(default_factory=Memory)  # keeps the position across restarts; the default doesn't
    on_error: Callable[[Exception], None] = _to_stderr  # hears of what could not be obeyed, sent or read; it must not block
    timeout: float = DEFAULT_TIMEOUT  # of every call to NATS, in seconds


def _complete(o: Options) -> None:
    """Fills the defaults in, and refuses what can't work."""
    if not o.conn and not o.urls:
        raise ValueError("subscribe: neither urls nor conn is set")
    if not o.models:
        raise ValueError("subscribe: models is empty")
    if len(set(o.models)) != len(o.models):
        raise ValueError("subscribe: a model stands twice in models")
    if not o.trust.ids:
        raise ValueError("subscribe: trust holds no key, so nothing could ever be obeyed: give it the key that `serve` prints")
    for model in o.models:
        names.ack_subject(model, o.consumer)  # raises where one of them can't be a name
    o.instance = o.instance or socket.gethostname()
    if not o.instance or len(o.instance.encode()) > names.MAX_NAME_BYTES:
        raise ValueError(f"subscribe: instance {o.instance!r} has {len(o.instance.encode())} bytes, 1 to {names.MAX_NAME_BYTES} are allowed")


async def run(options: Options, handler: Handler) -> None:
    """Follows the models until it is cancelled. It raises at once where options can't work, a store can't be read, or no NATS server answers within options.timeout. Once it
    runs, a lost connection, a server that restarts or a stream that isn't there yet is waited for."""
    _complete(options)
    conn = options.conn or await _dial(options)
    try:
        js = conn.jetstream(timeout=options.timeout)
        followers = [Follower(options, js, model, handler, lambda: _ready(conn, options.timeout)) for model in options.models]
        tasks = [asyncio.ensure_future(work()) for f in followers for work in (f.run, f.read_routes, f.read_again, f.read_log)]
        try:
            await asyncio.gather(*tasks)
        finally:
            await _end(tasks)
    finally:
        if not options.conn:
            await conn.close()


async def _ready(conn: Client, timeout: float) -> None:
    """Returns where the server answers now."""
    if not conn.is_connected:
        raise ConnectionError("there is no connection to NATS")
    await conn.flush(timeout)  # type: ignore[arg-type]


async def _end(tasks: "Iterable[asyncio.Future[None]]") -> None:
    """Cancels tasks until they have ended: before Python 3.12 a call with a time limit that ends at the very moment of its cancelling swallows that."""
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=_AGAIN)


async def _dial(o: Options) -> Client:
    async def on_error(err: Exception) -> None:
        o.on_error(RuntimeError(f"connection to NATS: {err!r}"))

    async def on_lost() -> None:
        o.on_error(RuntimeError("connection to NATS is lost, decisions wait"))

    settings: Any = {
        "servers": o.urls, "name": f"{o.consumer}/{o.instance}", "connect_timeout": o.timeout, "max_reconnect_attempts": -1, "reconnect_time_wait": 0.5,
        "error_cb": on_error, "disconnected_cb": on_lost,
    }
    if o.creds_file:
        settings["user_credentials"] = o.creds_file
    if o.tls:
        settings["tls"] = o.tls
    try:
        return await asyncio.wait_for(nats.connect(**settings), o.timeout)
    except asyncio.TimeoutError:
        raise ConnectionError(f"subscribe: NATS is not reachable at {', '.join(o.urls)} within {o.timeout} s") from None
