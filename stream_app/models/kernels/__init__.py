"""Compiled inner loops of the models.

A file per model, and a file per algorithm that several models share (`topk`, `random`, `decay`, ...). All kernels
are compiled by `jit.jit`, so they may call kernels of other files and read module constants and enums.

Docstrings name the shapes of arrays and what is particular to a kernel. The rest holds for all kernels, those of the
bandit, of experiments and of ranking too:

- A parameter that is a named tuple is described by its class.
- `ties`, shape (n_items,), is the hash of each item: of items of equal score the one with the smaller hash is first.
- `out` is written; `out_items`, `out_scores` and `out_evidence`, shape (k,), receive the best items, best first.
- `ts` and `now` are event times in seconds since the epoch; ages and gaps are in seconds.

Scratch arrays (`seen`, `scores`, `best`, `slots`, ...) are reused between calls: a kernel receives them cleared and
leaves them cleared, at the cost of the touched entries only.
"""
