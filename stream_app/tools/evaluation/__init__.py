"""How good the lists are: offline figures, measured with the fold and the ranker that the workers run.

Nothing here learns or ranks by itself. `sessions` and `events` drive a `Ranker` along a log and ask it before each
choice; `tuning` searches a model's hyper-parameters in the `spaces`; `statistics` holds the metrics and their
intervals; `report`, `tables`, `plots` and `progress` say what came out. May import everything below the agents.
"""
