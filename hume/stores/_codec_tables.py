"""What a codec has found out about types: how payloads of each are written and read, fast where that is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hume.errors import EncodeError
from hume.stores._class_form import FieldsPlan, Flat, Plan, children, plan_for
from hume.stores._event_types import BUILTIN_NAMES, EventType, Stored, event_type, registry, title
from hume.stores._json_form import ATOMS, DEEPEST, NAMES, STRINGS, Form, Found, Malformed, Refused, Write

if TYPE_CHECKING:
    import threading

__all__ = ["Encoded", "Tables"]


class Encoded(NamedTuple):
    """A payload as a store keeps it."""

    type_name: str
    version: int
    data: bytes


_PLAIN: Final[dict[str, type]] = {"dict": dict, "list": list, "str": str, "tuple": tuple}  # msgspec's own, without tags

_DOLLAR: Final = ord("$")  # one byte is found in an instant, and most data have none (and `in` is slow for two)

_ROOM: Final = 1000  # ways to fill the fields of one class with types; most classes have one or two

_Writer = Callable[[Any], Encoded]
_Reader = Callable[[bytes], list[Any]]
_ReaderOfOne = Callable[[bytes], Any]

# Encoded(...) takes longer, and there is one for each event
_new: Final[Callable[[type[Encoded], tuple[str, int, bytes]], Encoded]] = tuple.__new__


class Tables:
    """What has been found out about types, by one state of the registry; thrown away when the registry changes.

    Threads fill the dicts as they go: two that ask at once find out the same.

    Args:
        msgspec: the module.
        titles: which class without a fixed name has a name; shared by a codec's tables.
        lock: to be held while *titles* is changed.
    """

    def __init__(self, msgspec: Any, titles: dict[str, str], lock: threading.Lock) -> None:
        self._titles, self._lock = titles, lock
        self._plans: dict[type, tuple[EventType, Plan]] = {}
        self.writers = Found(self._writer)
        self.readers = Found(self._reader)
        self.readers_of_one = Found(self._reader_of_one)
        self._dump = msgspec.json.Encoder().encode
        self._load = msgspec.json.Decoder().decode
        self._decoder_of, self._invalid = msgspec.json.Decoder, msgspec.ValidationError
        self._form = Form(self._write_object, self._read_object)
        self._careful = Form(self._write_object_carefully, self._read_object, careful=True)

    # -- writing

    def _writer(self, kind: type) -> _Writer:
        (name, version), root = self._root(kind, self._form)
        dump = self._dump
        if kind is dict:
            return self._dict_writer(name, root)
        if kind is list or kind is tuple:
            return self._sequence_writer(name, root)
        plan = None if kind in NAMES else self.known(kind)[1]
        if isinstance(plan, FieldsPlan) and plan.direct:
            return self._direct_writer(name, version, plan, root)
        return lambda payload: _new(Encoded, (name, version, dump(root(payload, 0))))

    def _sequence_writer(self, name: str, root: Write) -> _Writer:
        dump = self._dump

        def write(payload: Any) -> Encoded:
            if ATOMS.issuperset(map(type, payload)):
                return _new(Encoded, (name, 1, dump(payload)))
            return _new(Encoded, (name, 1, dump(root(payload, 0))))

        return write

    def _dict_writer(self, name: str, root: Write) -> _Writer:
        dump = self._dump

        def write(payload: Any) -> Encoded:
            if STRINGS.issuperset(map(type, payload)) and ATOMS.issuperset(map(type, payload.values())):
                data = dump(payload)
                if data.find(_DOLLAR) < 0:
                    return _new(Encoded, (name, 1, data))
            return _new(Encoded, (name, 1, dump(root(payload, 0))))

        return write

    def _direct_writer(self, name: str, version: int, plan: FieldsPlan, root: Write) -> _Writer:
        dump, get = self._dump, plan.getter()
        flat: dict[tuple[type, ...], Flat] = {}

        def write(payload: Any) -> Encoded:
            kinds = tuple(map(type, get(payload)))
            way = flat.get(kinds)
            if way is None:
                way = plan.flat(kinds)
                if len(flat) < _ROOM:
                    flat[kinds] = way
            if way is not Flat.NO:
                data = dump(payload)
                if way is Flat.YES or data.find(b"null") < 0:
                    return _new(Encoded, (name, version, data))
            return _new(Encoded, (name, version, dump(root(payload, 0))))

        return write

    def encode_carefully(self, payload: object) -> Encoded:
        """Return what is stored for a payload that has something rare in it, or say where the fault is.

        Raises:
            EncodeError: it can't be stored.
        """
        kind = type(payload)
        try:
            (name, version), root = self._root(kind, self._careful)
            return Encoded(name, version, self._dump(root(payload, 0)))
        except RecursionError as error:
            why = "is nested deeper than the stack that is left allows"
            raise EncodeError(_name_of(kind), "payload", why) from error
        except Refused as error:
            raise EncodeError(_name_of(kind), *self._fault(payload, str(error))) from error

    def _fault(self, value: Any, why: str) -> tuple[str, str]:
        """Return the path to the innermost value that is refused, and why."""
        path = ""
        for depth in range(1, DEEPEST + 2):
            for step, child in children(value, self._plan_of(value)):
                try:
                    self._careful.out(child, depth)
                except Refused as error:
                    path, value, why = path + step, child, str(error)
                    break
            else:
                break
        return "payload" + (path if len(path) <= 200 else f"{path[:100]} ... {path[-20:]}"), why  # noqa: PLR2004 - a line

    def _plan_of(self, value: object) -> Plan | None:
        known = self._plans.get(type(value))
        return None if known is None else known[1]

    def _root(self, kind: type, form: Form) -> tuple[EventType, Write]:
        root = form.root_of(kind)
        if root is not None:
            return EventType(NAMES[kind], 1), root
        of, plan = self.known(kind)
        return of, lambda value, depth: plan.out(value, form, depth)

    def _write_object(self, kind: type) -> Write:
        return self._object_writer(kind, self._form)

    def _write_object_carefully(self, kind: type) -> Write:
        return self._object_writer(kind, self._careful)

    def _object_writer(self, kind: type, form: Form) -> Write:
        (name, version), plan = self.known(kind)
        return lambda value, depth: {"$object": [name, version, plan.out(value, form, depth)]}

    # -- the names of classes

    def known(self, cls: type) -> tuple[EventType, Plan]:
        """Return a class's type and plan, and remember its name.

        Raises:
            Refused: it can't be stored, or not under that name.
        """
        known = self._plans.get(cls)
        if known is None:
            plan, kind = plan_for(cls), event_type(cls)
            with self._lock:
                self._adopt(cls, kind)
            known = self._plans[cls] = kind, plan
        return known

    def _adopt(self, cls: type, kind: EventType) -> None:
        try:
            fixed = registry.adopt(cls)
        except ValueError as error:
            msg = f"is of type {title(cls)}: {error}"
            raise Refused(msg) from error
        if fixed:
            return
        holder = self._titles.setdefault(kind.name, title(cls))
        if holder != title(cls):
            msg = (
                f"is of type {title(cls)}, whose name {kind.name!r} is that of {holder}:"
                f' give one of them another with @hume.event("...")'
            )
            raise Refused(msg)

    def _named(self, name: str, version: int) -> Plan:
        cls = registry.class_of(name) or self._unfixed(name, version)
        kind, plan = self.known(cls)
        if version < kind.version:
            msg = (
                f"{title(cls)} is at version {kind.version}, and no upcaster leads on from version {version}:"
                f' write one, with @hume.upcaster("{name}", {version})'
            )
            raise Malformed(msg)
        if version > kind.version:
            msg = f"a newer program has stored it: {title(cls)} is at version {kind.version}"
            raise Malformed(msg)
        return plan

    def _unfixed(self, name: str, version: int) -> type:
        seen = registry.seen(name)
        title_here = self._titles.get(name)
        if title_here is not None and title_here in seen:
            return seen[title_here]
        if len(seen) == 1:
            return next(iter(seen.values()))
        if seen:
            msg = f"the name {name!r} may mean {' or '.join(sorted(seen))}: say which, with JSONCodec(types=[...])"
            raise Malformed(msg)
        msg = (
            f"no class with the name {name!r} is known: import its module if it has @hume.event({name!r}), else name"
            f" it with JSONCodec(types=[...]); if it is gone or renamed write @hume.upcaster({name!r}, {version})"
        )
        raise Malformed(msg)

    # -- reading

    def _reader(self, of: tuple[str, int]) -> _Reader:
        name, version = of
        load, read = self._load, self.readers_of_one[of]
        if read is None:
            return lambda data: list(map(self._payload, registry.upcast(Stored(name, version, load(data)))))
        return lambda data: [read(data)]

    def _reader_of_one(self, of: tuple[str, int]) -> _ReaderOfOne | None:
        """Return what makes the payload of a type's data; `None` where upcasters say how many there are."""
        name, version = of
        load, form = self._load, self._form
        if registry.has_upcaster(name, version):
            return None
        if name not in BUILTIN_NAMES:
            plan = self._named(name, version)
            direct = plan.cls if isinstance(plan, FieldsPlan) and plan.direct else None
            return self._fast_reader(direct, lambda data: plan.back(load(data), form))
        if version != 1:
            msg = "a built-in type has version 1 only"
            raise Malformed(msg)
        return self._fast_reader(_PLAIN.get(name), lambda data: form.root_back(name, load(data)))

    def _fast_reader(self, kind: type | None, read: _ReaderOfOne) -> _ReaderOfOne:
        """Return what has msgspec make a *kind* of data that have no tag, and else does as *read*."""
        try:
            typed = None if kind is None else self._decoder_of(kind).decode
        except Exception:  # noqa: BLE001 - whatever msgspec has against a class: it is only the faster way
            typed = None
        if typed is None:
            return read
        invalid = self._invalid

        def read_fast(data: bytes) -> Any:
            if _DOLLAR not in data or data.find(b'"$') < 0:
                try:
                    return typed(data)
                except invalid:  # a value is not as annotated, or a field is missing
                    pass
            return read(data)

        return read_fast

    def _payload(self, stored: Stored) -> Any:
        name, version, data = stored
        if name in BUILTIN_NAMES:
            return self._form.root_back(name, data)
        return self._named(name, version).back(data, self._form)

    def _read_object(self, inner: Any) -> Any:
        name, version, data = inner
        results = registry.upcast(Stored(name, version, data))
        if len(results) != 1:
            msg = f"its upcasters make {len(results)} of a {name!r} inside another value, where there must be one"
            raise Malformed(msg)
        return self._payload(results[0])


def _name_of(kind: type) -> str:
    return NAMES.get(kind) or event_type(kind).name
