"""Payloads whose classes nobody has imported: as the bytes that they are."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from hume.errors import DecodeError
from hume.stores._codec import Encoded, JSONCodec
from hume.stores._event_types import BUILTIN_NAMES

if TYPE_CHECKING:
    import types
    from collections.abc import Iterable

__all__ = ["LenientCodec", "codec_for", "load"]


class LenientCodec(JSONCodec):
    """Does as `JSONCodec`, but takes payloads of unknown classes as `Encoded`, if what they are made of is JSON."""

    def encode(self, payload: object) -> Encoded:
        """Return what is stored for a payload, which may be that already."""
        return payload if type(payload) is Encoded else super().encode(payload)

    def decode(self, type_name: str, version: int, data: bytes) -> list[Any]:
        """Return what was stored; unchanged, if it is of an unknown class or has one in it."""
        try:
            return super().decode(type_name, version, data)
        except DecodeError:
            if not _is_of_class(type_name, data):
                raise
            return [Encoded(type_name, version, data)]


def _is_of_class(type_name: str, data: bytes) -> bool:
    if type_name in BUILTIN_NAMES and b'"$object"' not in data:
        return False
    try:
        msgspec.json.decode(data)
    except msgspec.DecodeError:
        return False
    return True


def codec_for(modules: Iterable[types.ModuleType]) -> JSONCodec:
    """Return the codec that knows the classes of these modules, and none else; without any, one that takes all."""
    modules = list(modules)
    if not modules:
        return LenientCodec()
    codec = JSONCodec()
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__ == module.__name__:
                try:
                    codec.register(value)
                except (TypeError, ValueError):
                    continue  # no event type
    return codec


def load(name: str) -> types.ModuleType:
    """Import a module, from where the command runs as well.

    Raises:
        ImportError: there is none.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return importlib.import_module(name)
