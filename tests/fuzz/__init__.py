"""Fuzzing: records of every kind, from a seed, through all that reads them.

`shop_records` makes records of the shop's topics, valid and damaged; `hypothesis_records` the same with Hypothesis.
`pipeline` takes them from decoding to the client's reading. `decoders` reads damaged records of every other kind.
`coverage_guided` gives bytes to the decoders, guided by coverage (Atheris). ``make fuzz`` runs all.
"""
