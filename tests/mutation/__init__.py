"""Mutation testing: small defects are made in the code, one at a time, and tests must fail.

`mutants` lists them with the operators of Cosmic Ray and those of `operators`, `runner` tests one in a process of
its own, for which `imports` says what must be imported anew, `campaign` a sample by a seed within a time bound.
`modules` names the code and its tests, ``equivalent.toml`` the mutants that no test can tell from the code, alone or
as a kind. The options: ``python -m tests.mutation --help``.
"""
