"""A shop with shoppers, generated: events for the demo and the benchmark that need no file.

`items` makes the catalog and knows which items are alike, `shop` lets shoppers epsilon_greedy_order through it,
`load` makes many events of many shoppers for measurements. Pure: chance is a seeded generator and time a callable
that comes in. Imports `topics` only.
"""
