"""The client of streamcanary for routers and state stores: it brings them the decisions about their models, verified and in order, and answers
for them. What is on the wire, and what a client must do, is in deploy/PROTOCOL.md; this one and streamcanary/decisions/subscribe, in Go, pass the same
conformance run and keep their positions in the same files.

run connects, reads the model's route document, then watches it and the decision log, and calls your handler with every decision that is to be carried out:

- A decision reaches the handler only if a key that you trust signed exactly its bytes.
- (epoch, seq) only grow: a decision that isn't above the last one that you carried out is not handed over.
- A handler that returned is answered for: `prepared` for the prepare of a start, `applied` else. One that raised is answered `failed`, and called again
  with growing pauses, until it succeeds or a newer decision comes. One that raised Rejection is answered `rejected`, and called
  again only when the decision is asked again.
- A call that still runs a second after a newer decision came is ended: asyncio.CancelledError is raised in it, it is not answered, and the newer one is next. A
  handler that catches that is waited for, and so is a plain one, which can't be ended; one that returns all the same has carried its decision out.
- After a restart the decision whose routes are in force is handed over once more, with `restored` set. Acks that may have been lost are sent again.
- A decision of a rollout in mode advise comes with `advise` set: look, don't act.

A handler must be idempotent: after a crash between its work and its answer it sees the same decision again.

Read in this order: subscriber.py, follower.py, readers.py, decision.py, trust.py, names.py, position.py, keeper.py.
"""

from .decision import DecodeError
from .follower import Delivery, Rejection
from .keeper import Keeper, keep_state
from .position import Dir, Memory, Position, Version
from .subscriber import Options, run
from .trust import Trust, VerifyError, parse_trust, read_trust

__all__ = [
    "DecodeError", "Delivery", "Dir", "Keeper", "Memory", "Options", "Position", "Rejection", "Trust", "VerifyError", "Version",
    "keep_state", "parse_trust", "read_trust", "run",
]
