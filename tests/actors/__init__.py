"""Tests of the actors. A test's docstring begins with the rule of OTP that it shows.

The letter says of what: **S** servers (``gen_server``: start, names, calls, casts, continue, timers, terminate), **M**
monitors and links, **V** supervisors (``supervisor``: specs, order, restart types, strategies, intensity, shutdown,
child management, significant children, dynamic ones), **T** tables (ETS: owner, heir, give away, access, isolation),
**N** names, **E** telemetry. The number is the place in a list of the promises that OTP 25's and Elixir's
documentation make for that part; the docstring says the promise itself.
"""
