"""Policies that choose what is shown, and learn from what came of it.

Pure: standard library, numpy, numba and the models' arrays and decay; no clock, no chance but seeds. `policy` is what
all of them look like, `registry` makes them by name and warms their kernels up; `linear` and `posterior` are what the
linear ones share, `examination` is how a low place is told from a dislike; each further file is one policy.
"""
