"""The shape of a decision: what `streamcanary schema decision` describes, as far as a client must rely on it."""

import datetime
import json
import re
from typing import Any, Dict, List

from .names import MAX_NAME_BYTES, decision_id

MAX_DECISION_BYTES = 512 << 10
MAX_SNAPSHOT_BYTES = 256
MAX_ROUTES = 64
MAX_STORES = 16

_TYPE = "streamcanary.decision.v1"
_WHOLE = 10000  # all of the traffic, in basis points
_ACTIONS = ("start", "advance", "promote", "rollback", "hold", "freeze", "resume", "retry", "supersede", "roll-forward")
_ORDERS = ("snapshot", "freeze", "restore", "unfreeze", "use")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


class DecodeError(Exception):
    """A body is no decision that anybody could carry out."""


def _need(ok: bool, what: str) -> None:
    if not ok:
        raise DecodeError(what)


def decode_decision(body: bytes, model: str) -> Dict[str, Any]:
    """Returns the decision (`data` of the CloudEvent) of a body that was verified: one of this model, under the id that its rollout, epoch and seq give.
    Fields that aren't known are passed over."""
    _need(len(body) <= MAX_DECISION_BYTES, f"it has {len(body)} bytes, {MAX_DECISION_BYTES} are allowed")
    try:
        event = json.loads(body)
    except ValueError as err:
        raise DecodeError(f"it is no JSON: {err}") from None
    _need(isinstance(event, dict), "it is no JSON object")
    for key, want in (("specversion", "1.0"), ("type", _TYPE), ("datacontenttype", "application/json")):
        _need(event.get(key) == want, f"{key} is {event.get(key)!r}, not {want!r}")
    _need(bool(event.get("source")), "source is missing")
    d = event.get("data")
    _need(isinstance(d, dict), "data is missing")
    _check(d)
    _need(event.get("id") == d["id"], f"the envelope's id {event.get('id')!r} is not the decision's, {d['id']!r}")
    _need(event.get("subject") == d["model"], f"the envelope's subject {event.get('subject')!r} is not the decision's model, {d['model']!r}")
    want = decision_id(d["rollout"], d["epoch"], d["seq"])
    _need(d["id"] == want, f"decision {d['id']!r} of rollout {d['rollout']}, epoch {d['epoch']}, seq {d['seq']}: its id should be {want!r}")
    _need(d["model"] == model, f"decision {d['id']} is of model {d['model']!r}")
    return d


def _check(d: Dict[str, Any]) -> None:
    _need(d.get("schema") == _TYPE, f"schema is {d.get('schema')!r}, not {_TYPE!r}")
    for key in ("epoch", "seq"):
        _need(_integer(d.get(key)) and d[key] >= 1, f"{key} is {d.get(key)!r}: it counts from 1")
    _need(_integer(d.get("stage")) and d["stage"] >= 0, f"stage is {d.get('stage')!r}")
    for key in ("model", "rollout"):
        _name(key, d.get(key))
    _one_of("mode", d.get("mode"), ("enforce", "advise"))
    _one_of("action", d.get("action"), _ACTIONS)
    if d.get("phase"):
        _one_of("phase", d["phase"], ("prepare", "commit", "abort"))
    _one_of("severity", d.get("severity"), ("info", "warning", "critical"))
    _one_of("actor.kind", _object("actor", d.get("actor")).get("kind"), ("engine", "person"))
    for key in ("code", "sentence"):
        _need(bool(_object("reason", d.get("reason")).get(key)), f"reason.{key} is missing")
    _need(not (d["action"] == "rollback" and d.get("expires_at")), "expires_at is set, but a rollback never expires")
    if d.get("prev") is not None:
        prev = _object("prev", d["prev"])
        _need(bool(prev.get("id")), "prev.id is missing")
        _need(bool(_SHA256.match(str(prev.get("sha256")))), "prev.sha256 is no SHA-256 in lower-case hex")
    _routes("routes", d.get("routes") or [])
    _routes("previous_routes", d.get("previous_routes") or [])
    _orders(d.get("state") or [])


def _integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _object(what: str, value: Any) -> Dict[str, Any]:
    _need(isinstance(value, dict), f"{what} is missing")
    return value


def _name(what: str, value: Any) -> None:
    _need(isinstance(value, str) and value != "", f"{what} is missing")
    _need(len(value.encode()) <= MAX_NAME_BYTES, f"{what} is longer than {MAX_NAME_BYTES} bytes")


def _one_of(what: str, value: Any, known: "tuple[str, ...]") -> None:
    _need(value in known, f"{what} {value!r} is unknown: there are {', '.join(known)}")


def _routes(what: str, routes: List[Any]) -> None:
    """Refuses routes that a router could not carry out. No routes at all are fine: nothing changes."""
    _need(isinstance(routes, list) and len(routes) <= MAX_ROUTES, f"{what}: no list, or more than {MAX_ROUTES}")
    seen = set()
    for i, r in enumerate(routes):
        _name(f"{what}[{i}].version", _object(f"{what}[{i}]", r).get("version"))
        for key in ("weight_bp", "mirror_bp"):
            share = r.get(key, 0)
            _need(_integer(share) and 0 <= share <= _WHOLE, f"{what}[{i}].{key} is {share!r}, outside 0..{_WHOLE}")
        _need(r["version"] not in seen, f"{what}: version {r['version']!r} stands there twice")
        seen.add(r["version"])
    total = sum(r.get("weight_bp", 0) for r in routes)
    _need(not routes or total == _WHOLE, f"{what}: the weights sum to {total}, not {_WHOLE}")


def _orders(orders: List[Any]) -> None:
    """Refuses orders that a store could not carry out."""
    _need(isinstance(orders, list) and len(orders) <= MAX_STORES, f"state: no list, or more than {MAX_STORES} orders")
    for i, o in enumerate(orders):
        do = _object(f"state[{i}]", o).get("do")
        _one_of(f"state[{i}].do", do, _ORDERS)
        _need(do != "restore" or bool(o.get("snapshot")), f"state[{i}].snapshot is missing: nothing says what to restore")
        _need(do != "use" or bool(o.get("namespace")), f"state[{i}].namespace is missing")
        _need(do == "use" or bool(o.get("store")), f"state[{i}].store is missing")


def expired(d: Dict[str, Any]) -> bool:
    """Reports whether a decision says that it is too old to be carried out. A rollback never is."""
    if not d.get("expires_at") or d["action"] == "rollback":
        return False
    try:
        at = datetime.datetime.fromisoformat(str(d["expires_at"]).replace("Z", "+00:00"))
    except ValueError:
        raise DecodeError(f"expires_at {d['expires_at']!r} is no time") from None
    return datetime.datetime.now(datetime.timezone.utc) > at


def timestamp() -> str:
    """Now, as RFC 3339 with milliseconds."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
