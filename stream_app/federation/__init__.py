"""Learning across shops: they train the shared parameters of the two-tower model, and keep ids, vectors and events.

What is sent and how it is protected is pure (`updates`, `wire`, `terms`); `accounting` asks dp-accounting, and
`flower` is the adapter to Flower. These two need the extra ``headrace[federated]``.
"""
