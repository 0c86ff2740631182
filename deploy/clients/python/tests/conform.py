"""The client under test in the conformance run (decisions/subscribe, TestConformance): it is told what to do by its one argument, and says on standard output what it was
given. deploy/PROTOCOL.md describes both."""

import asyncio
import json
import signal
import sys
import time
from collections import Counter
from typing import Any, Awaitable, Dict, Optional

from streamcanary_subscribe import Delivery, Dir, Options, Rejection, keep_state, read_trust, run


def say(line: str) -> None:
    print(line.replace("\n", " "), flush=True)


def on_error(err: Exception) -> None:
    say(("refused " if "is not obeyed" in str(err) else "error ") + str(err))


def answer(config: Dict[str, Any], version: str, n: int) -> Optional[Awaitable[None]]:
    """Does what a handler does when it is called for the n-th time, from 0, for a decision, or hands over what does."""
    answers = config["answers"].get(version, [])
    word = answers[n] if n < len(answers) else "ok"
    if word == "slow":
        time.sleep(3)  # whatever is said to it
    if word == "long":
        return asyncio.sleep(3)  # ended by what it is told
    if word.startswith("fail:"):
        raise OSError(word[len("fail:"):])
    if word == "fail":
        raise OSError("no disk")
    if word.startswith("refuse:"):
        raise Rejection(word[len("refuse:"):])
    return None


def router(config: Dict[str, Any]):
    def handle(d: Delivery) -> Optional[Awaitable[None]]:  # plain: it can't be ended, as one that doesn't heed it can't
        version = f"{d.version.epoch}.{d.version.seq}"
        words = ["given", version, d.decision["action"]]
        if d.routes:
            words.append(",".join(f"{r['version']}:{r['weight_bp']}" for r in d.routes))
        words += [word for word, so in (("advise", d.advise), ("restored", d.restored), (f"attempt={d.attempt}", d.attempt > 1)) if so]
        say(" ".join(words))
        return answer(config, version, d.attempt - 1)

    return handle


class Keeper:
    """A state store whose snapshots are s1, s2 and so on, and which answers to the snapshot as decision 1.1 is to be answered."""

    def __init__(self, config: Dict[str, Any]):
        self._config, self._calls = config, Counter()

    def snapshot(self) -> str:
        n = self._calls["snapshot"]
        self._calls["snapshot"] += 1
        say("told snapshot")
        answer(self._config, "1.1", n)
        return f"s{n + 1}"

    async def freeze(self, snapshot: str) -> None:
        say(f"told freeze {snapshot}")

    def restore(self, snapshot: str) -> None:
        say(f"told restore {snapshot}")

    async def unfreeze(self) -> None:
        say("told unfreeze")


async def main() -> None:
    config = json.loads(sys.argv[1])
    options = Options(
        urls=config["urls"], models=config["models"], consumer=config["consumer"], instance=config["instance"], trust=read_trust(config["trust"]),
        store=Dir(config["dir"]), on_error=on_error,
    )
    work = asyncio.ensure_future(run(options, keep_state(config["consumer"], Keeper(config)) if config["store"] else router(config)))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        pass


asyncio.run(main())
