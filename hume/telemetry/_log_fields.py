"""What a log record of Hume says in fields of its own, beside its message."""

from __future__ import annotations

__all__ = ["fields"]


def fields(**facts: object) -> dict[str, object]:
    """Return the ``extra`` of a log record: each fact as ``hume_...``, a string or a number.

    Not the object itself: a record that is kept would keep a dead actor alive, and a formatter may know no such type.
    """
    return {f"hume_{name}": _plain(fact) for name, fact in facts.items()}


def _plain(fact: object) -> str | float:
    if isinstance(fact, str | int | float):
        return fact
    return repr(fact) if isinstance(fact, BaseException) else str(fact)
