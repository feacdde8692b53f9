"""What every model, policy and fusion must do, as checks by name: `headrace check-model` and the tests run them.

A check learns a short random stream, and compares what the model says of it: determinism, bounds of memory, saved
state, forgotten users and items, scores of unknown items, ties, copies.
"""
