"""Compiled inner loops of the models.

A file per model, and a file per algorithm that several models share (`topk`, `random`, `decay`, ...). All kernels
are compiled by `jit.jit`, so they may call kernels of other files and read module constants and enums.

Scratch arrays (`seen`, `scores`, `best`, `slots`, ...) are reused between calls: a kernel receives them cleared and
leaves them cleared, at the cost of the touched entries only.
"""
