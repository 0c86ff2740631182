"""What a subscriber must remember of a model, and where."""

import json
import os
from dataclasses import dataclass, field
from typing import Any, Dict, Protocol

from .names import encode_name


@dataclass(frozen=True, order=True)
class Version:
    """Orders a model's decisions: by epoch, then by number in it. The default is below every decision."""

    epoch: int = 0
    seq: int = 0


@dataclass(frozen=True)
class Position:
    """What a subscriber remembers of a model."""

    applied: Version = field(default_factory=Version)  # the last decision that was carried out
    routes: Version = field(default_factory=Version)  # the last of them that moved traffic
    snapshot: str = ""  # what a state store named when it carried `applied` out

    def to_json(self) -> Dict[str, Any]:
        """The position as Dir keeps it."""
        out: Dict[str, Any] = {"applied": vars(self.applied), "routes": vars(self.routes)}
        if self.snapshot:
            out["snapshot"] = self.snapshot
        return out

    @staticmethod
    def from_json(value: Dict[str, Any]) -> "Position":
        """Reads what to_json wrote."""
        return Position(_version(value, "applied"), _version(value, "routes"), str(value.get("snapshot", "")))


def _version(position: Dict[str, Any], name: str) -> Version:
    value = _part(position, name, name)
    return Version(*(int(_part(value, part, f"{name}.{part}")) for part in ("epoch", "seq")))


def _part(value: Dict[str, Any], name: str, path: str) -> Any:
    if name not in value:
        raise ValueError(f"{path} is missing")
    return value[name]


class Store(Protocol):
    """Keeps positions. load returns Position() for a model it doesn't know; save returns once the position would survive a crash."""

    def load(self, model: str) -> Position: ...

    def save(self, model: str, position: Position) -> None: ...


class Memory:
    """A store that forgets at the end of the process: everything is carried out again after a restart."""

    def __init__(self) -> None:
        self._positions: Dict[str, Position] = {}

    def load(self, model: str) -> Position:
        """The position of a model."""
        return self._positions.get(model, Position())

    def save(self, model: str, position: Position) -> None:
        """Keeps a position."""
        self._positions[model] = position


class Dir:
    """A store of one small file per model in a folder, which is made if absent; the Go client reads and writes the same files. Each write is on disk, whole, before
    save returns. The folder belongs to one subscriber."""

    def __init__(self, path: "str | os.PathLike[str]"):
        self._path = os.fspath(path)
        os.makedirs(self._path, exist_ok=True)

    def _file(self, model: str) -> str:
        return os.path.join(self._path, encode_name(model) + ".json")

    def load(self, model: str) -> Position:
        """The position of a model; ValueError where its file is torn."""
        name = self._file(model)
        try:
            with open(name, encoding="utf-8") as file:
                return Position.from_json(json.load(file))
        except FileNotFoundError:
            return Position()
        except (ValueError, TypeError, AttributeError) as err:
            raise ValueError(f"{name}: {err} (remove the file to begin anew)") from None

    def save(self, model: str, position: Position) -> None:
        """Keeps a position."""
        name = self._file(model)
        with open(name + ".new", "w", encoding="utf-8") as file:
            json.dump(position.to_json(), file)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.replace(name + ".new", name)
        except FileNotFoundError as err:
            raise OSError(f"another process keeps its positions in {self._path}, too: give each subscriber, and each instance of one, a folder of its own: {err}") from None
        folder = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
