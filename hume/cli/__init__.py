"""The command line: ``hume``, for a log in a SQLite file. Needs the extra ``cli``.

``hume --help`` lists the commands, and each has a ``--help`` with examples. What they share:

- **Exit codes**: 0, all is well; 1, something is wrong, or was found to be; 2, the command was not understood; 130,
  interrupted with Ctrl-C; 141, nobody reads the output any more (as any program that ``head`` has heard enough of).
- **Output** is for people, and with ``--json`` for programs: a JSON object a line. Progress and errors go to stderr.
- **Reading** makes no file and changes none.
- **Classes are not needed**: events are shown, kept and moved as the file has them, in the codec's JSON, whatever
  upcasters would make of them. Where they must be understood, ``--import shop.events`` says which module has them.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command ``hume``, and exit."""
    try:
        from hume.cli._main import commands  # noqa: PLC0415 - an extra, which `import hume` doesn't load
    except ImportError as error:
        if error.name not in {"click", "msgspec", "rich"}:
            raise
        sys.exit(f"Error: the command needs {error.name}, which comes with the extra: pip install 'hume-es[cli]'")
    except KeyboardInterrupt:
        sys.exit(130)
    commands(prog_name="hume")
