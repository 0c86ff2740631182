"""The handler of a state store."""

from typing import Awaitable, Protocol, Union

from .decision import MAX_SNAPSHOT_BYTES
from .follower import Delivery, Handler, call


class Keeper(Protocol):
    """Holds state that the versions of a model share. Its methods (plain or async) are called again after a crash, so each must be idempotent, and what it did must
    outlive a restart. One that raises is answered `failed` and called again; one that raises Rejection is answered `rejected`."""

    def snapshot(self) -> Union[str, Awaitable[str]]:
        """Takes a snapshot that can be restored as long as the rollout lasts, and names it. One that takes over from it, or begins it anew, goes on with it, and asks for
        no other."""

    def freeze(self, snapshot: str) -> Union[None, Awaitable[None]]:
        """Lets no more writes in, and makes sure that the snapshot can be restored. It may be frozen already."""

    def restore(self, snapshot: str) -> Union[None, Awaitable[None]]:
        """Stops writes, where that isn't done (freeze may have failed, or been ended), and goes back to the snapshot."""

    def unfreeze(self) -> Union[None, Awaitable[None]]:
        """Lets writes in again."""


def keep_state(consumer: str, keeper: Keeper) -> Handler:
    """The handler of a state store: what decisions ask of the consumer, which is the store's name in the rollout's state.stores, its Keeper does. Decisions that ask
    nothing of it are answered for as they come."""

    async def handle(delivery: Delivery) -> None:
        if delivery.advise:
            return
        for order in delivery.state:
            if order.get("store") == consumer and not (delivery.restored and order["do"] == "snapshot"):
                await _keep(keeper, delivery, order)
                return

    return handle


async def _keep(keeper: Keeper, delivery: Delivery, order: dict) -> None:
    do, snapshot = order["do"], order.get("snapshot", "")
    if do == "snapshot":
        name = await call(keeper.snapshot)
        size = len(name.encode())
        if not name.strip() or size > MAX_SNAPSHOT_BYTES:
            raise ValueError(f"the snapshot's name has {size} bytes, 1 to {MAX_SNAPSHOT_BYTES} are allowed, and not blanks alone")
        delivery.took(name)
    elif do == "freeze":
        await call(keeper.freeze, snapshot)
    elif do == "restore":
        await call(keeper.restore, snapshot)
    elif do == "unfreeze":
        await call(keeper.unfreeze)
    # `use` is of namespaced state: no store is told
