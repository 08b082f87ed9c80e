"""How fast Hume is, beside what it is measured against; run by ``python -m tests.benchmarks``, not by the tests.

Ratios in one run are what counts: seconds on a shared machine are not. So each row runs its reference and Hume in turn,
several times, and compares each run with the one before it. A reference is a *floor* (a bare Pykka actor, a bare loop,
a bare ``sqlite3``: what can hardly be beaten) or a *peer* (``eventsourcing``, another library for the same purpose).
Time is the wall clock's, but CPU time where nothing is waited for: a loop over events, an append in memory, a read.
"""
