"""What type checkers say to programs that use Hume: ``python -m tests.typing`` asks mypy and pyright, both strict.

The programs in ``must`` have no error. In ``must_not`` each line that ends with ``# error: RULES`` has the errors of
these rules (pyright's begin with ``report``, the others are mypy's), and no other line has one.
"""
