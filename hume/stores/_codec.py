"""Events as bytes: the Codec protocol, and JSONCodec, the default one.

The format
==========

A payload is stored as three things: the *name* and the *version* of its type, and its *data*, which is JSON in UTF-8.
The format is on users' disks: what it says below may be added to, and is never changed.

**Type.** A payload of a built-in type has one of the names ``bool bytes date datetime decimal dict float fraction
frozenset int list none set str time timedelta tuple uuid``, and version 1. One of a class has the name and version
given by ``@hume.event``, else the class's own name and version 1.

**Plain values.** None, bool, int, finite float, str, list, and dict whose keys are all str, are what they are in JSON.
A float is written with a point or an exponent, an int without. A dict's key that begins with ``$`` gets another ``$``
in front. So an object with a single key that begins with exactly one ``$`` is never a dict: it is a tagged value. (That
``$`` is never written as an escape.)

**Tagged values.** ``{"$tag": inner}``, where *inner* is

==============  =======================================================================================
tag             inner
==============  =======================================================================================
``$tuple``      list of the items
``$set``        list of the items, in the order of their forms' Python ``repr``
``$frozenset``  the same
``$dict``       list of [key, value]: a dict with a key that is no str
``$int``        str: hexadecimal, as ``0x2a`` or ``-0x2a``: an int of more than 4,300 digits, or in a float's field
``$float``      "nan", "inf" or "-inf"
``$bytes``      str: base64
``$decimal``    str, as Python's ``str()`` gives it
``$fraction``   [numerator, denominator]
``$uuid``       str: 32 hexadecimal digits with hyphens
``$date``       str: ISO 8601
``$time``       str: ISO 8601, with the offset if it has one and that is of whole minutes; with a fold, a zone,
                or another offset: [ISO 8601 without, fold, and one of null, zone, offset as a timedelta's inner]
``$datetime``   the same
``$timedelta``  [days, seconds, microseconds], as Python keeps them
``$object``     [name, version, data]: a value of a class
==============  =======================================================================================

Values stand inside each other at any place, up to 100 levels deep. A zone is a key of the IANA database.

**Data of a class.** Those of a dataclass, a msgspec Struct or a NamedTuple are an object of its fields, each by its
attribute's name. On reading, a field that is missing gets its default, and data of no field are passed over. Those of
an enum's member are its value, if that is a str or an int, as for a Flag, else ``{"member": name}``. A number in a
field that is annotated as float, without int, is a float, unless it is tagged as ``$int``.

**Data of a payload** of a class or of a plain type are its form as above. Of another built-in type they are *inner*:
the tuple ``("add", "foo", 42)`` is stored with the name ``tuple`` as ``["add","foo",42]``.

Not kept: an object's attributes that are no fields, the name of a fixed offset, and that two values are one object.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

from hume.errors import DecodeError
from hume.stores._class_form import plan_for
from hume.stores._codec_tables import Encoded, Tables
from hume.stores._event_types import NEWEST, registry, title
from hume.stores._json_form import NAMES, Malformed, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["Codec", "Encoded", "JSONCodec", "check_codec"]


class Codec(Protocol):
    """What turns payloads into bytes and back, for a durable store. Any thread may call it."""

    def encode(self, payload: Any) -> Encoded:
        """Return what is stored for a payload.

        Raises:
            EncodeError: it can't be stored.
        """
        ...

    def decode(self, type_name: str, version: int, data: bytes) -> Sequence[Any]:
        """Return what was stored as payloads of today: one as a rule, several or none if an upcaster says so.

        Raises:
            DecodeError: nobody knows the type, or the data don't fit it.
        """
        ...


def check_codec(codec: object) -> None:
    """Refuse what is no codec."""
    if isinstance(codec, type) or not all(callable(getattr(codec, name, None)) for name in ("encode", "decode")):
        msg = f"codec must be an object with encode and decode, such as JSONCodec(), or None, not {codec!r}"
        raise TypeError(msg)


def encoded_by(codec: Codec, payload: object) -> Encoded:
    """Have a codec encode, and refuse what no store can keep, as somebody's own codec may give.

    Raises:
        TypeError: it is no (name, version, bytes); EncodeError: as `Codec.encode`.
    """
    encoded = codec.encode(payload)
    if not _is_encoded(encoded):
        msg = f"{codec!r} must encode a payload as Encoded(type_name: str, version: int, data: bytes), not {encoded!r}"
        raise TypeError(msg)
    return encoded


def _is_encoded(encoded: object) -> bool:
    return (
        isinstance(encoded, Encoded)
        and isinstance(encoded.type_name, str)
        and isinstance(encoded.version, int)
        and 0 <= encoded.version <= NEWEST
        and isinstance(encoded.data, bytes)
    )


class JSONCodec:
    """Payloads as JSON, equal and of the same type when they come back; needs the extra ``sqlite``.

    Built-in types, dataclasses, msgspec Structs, NamedTuples and enums, inside each other as they may be. A class is
    found again by the name of its type; known are the classes fixed by `hume.event`, those that are registered here,
    and those that this process has encoded. No module is ever imported, and no code run, because stored data say so.

    Args:
        types: classes without a fixed name whose events may be read before one is written.

    Raises:
        ImportError: msgspec is not installed.
        TypeError, ValueError: as `register`.
    """

    def __init__(self, types: Iterable[type] = ()) -> None:
        self._lock = threading.Lock()
        self._titles: dict[str, str] = {}
        self._msgspec = _msgspec()
        self.forget()
        registry.watch(self)
        self.register(*types)

    def forget(self) -> None:
        """Find out anew about all types, since one has changed; the registry of event types calls it."""
        # in one step: whoever is in the middle of a payload goes on with the tables it has begun with
        self._tables = Tables(self._msgspec, self._titles, self._lock)

    def register(self, *types: type) -> None:
        """Make classes known by the names of their types, so that their events can be read.

        Raises:
            TypeError: one can't be stored.
            ValueError: another class has the name.
        """
        for cls in types:
            if not isinstance(cls, type):
                msg = f"a codec's types must be classes, not {cls!r}"
                raise TypeError(msg)
            if cls in NAMES:
                continue
            try:
                plan_for(cls)
            except Refused as error:
                msg = f"{title(cls)} {error}"
                raise TypeError(msg) from error
            try:
                self._tables.known(cls)
            except Refused as error:
                msg = f"{title(cls)} {error}"
                raise ValueError(msg) from error

    def encode(self, payload: object) -> Encoded:
        """Return what is stored for a payload; see `Codec.encode`."""
        try:
            return self._tables.writers[type(payload)](payload)
        except (
            AttributeError,
            RecursionError,
            Refused,
            ValueError,
        ):  # ValueError: what msgspec says of half characters
            return self._tables.encode_carefully(payload)

    def decode(self, type_name: str, version: int, data: bytes) -> list[Any]:
        """Return what was stored as payloads of today; see `Codec.decode`."""
        try:
            return self._tables.readers[type_name, version](data)
        except DecodeError:
            raise
        except Malformed as error:
            raise DecodeError(type_name, version, str(error)) from error
        except Exception as error:  # whatever a constructor says to data that are not its own
            why = f"its data don't fit: {type(error).__name__}: {error}"
            raise DecodeError(type_name, version, why) from error

    def reader(self, type_name: str, version: int) -> Callable[[bytes], Any] | None:
        """Return what makes the payload of data of one type; `None` if it takes `decode`, as they are to be upcast.

        For a store that reads many events at once. It is not to be kept, since types change; and its errors are raw: of
        what it refuses, `decode` says why.
        """
        return self._tables.readers_of_one[type_name, version]


def _msgspec() -> Any:
    try:
        import msgspec  # noqa: PLC0415 - an extra, which `import hume` doesn't load
    except ImportError as error:
        msg = "JSONCodec needs msgspec, which comes with the extra: pip install 'hume-es[sqlite]'"
        raise ImportError(msg) from error
    return msgspec
