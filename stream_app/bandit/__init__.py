"""Policies that choose the items to display and learn from rewards.

Pure: numpy, numba and the decay and state of the models; no clock, and no randomness but by seeds. `policy` has the
interface, `policy_registry` makes policies by name and compiles their kernels, `examination` has the position model,
`linear` and `posterior` the base of linear policies, `open_sessions` the traces of `session_value`; every other
module is one policy. `kernels` has the compiled inner loops.
"""
