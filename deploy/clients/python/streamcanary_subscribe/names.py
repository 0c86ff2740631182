"""Names of what stands in NATS."""

STREAM = "STREAMCANARY"
ROUTES_STREAM = "KV_streamcanary-routes"  # the stream under the KV bucket streamcanary-routes
ROUTES_PREFIX = "$KV.streamcanary-routes."
HEADER_KEY_ID = "Sc-Key-Id"
HEADER_SIGNATURE = "Sc-Signature"
HEADER_MESSAGE_ID = "Nats-Msg-Id"
HEADER_KV_OPERATION = "KV-Operation"

MAX_NAME_BYTES = 128

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


def encode_name(name: str) -> str:
    """Writes a name as one token of a subject or key: every byte outside [A-Za-z0-9_-] as =XX, in upper-case hex."""
    raw = name.encode()
    if not raw:
        raise ValueError("encode name: it is empty")
    if len(raw) > MAX_NAME_BYTES:
        raise ValueError(f"encode name {name[:20]!r}…: it has {len(raw)} bytes, {MAX_NAME_BYTES} are allowed")
    return "".join(chr(c) if c in _PLAIN else f"={c:02X}" for c in raw)


def decision_subject(model: str) -> str:
    """Where a model's decisions are published."""
    return "streamcanary.decision." + encode_name(model)


def ack_subject(model: str, consumer: str) -> str:
    """Where a consumer acknowledges a model's decisions."""
    return "streamcanary.ack." + encode_name(model) + "." + encode_name(consumer)


def route_subject(model: str) -> str:
    """Where the model's route document stands: its key in the bucket, as the subject of the stream under it."""
    return ROUTES_PREFIX + encode_name(model)


def again_subject(model: str) -> str:
    """Where the model's newest decision is asked again, where it has no routes: a key beside the route document."""
    return ROUTES_PREFIX + "again/" + encode_name(model)


def decision_id(rollout: str, epoch: int, seq: int) -> str:
    """Names a decision by what it is."""
    return f"{encode_name(rollout)}.{epoch}.{seq}"
