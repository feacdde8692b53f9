"""Policies at work on the lists of shoppers, and how they compare.

Pure as the ranker is. `control` is what has been said of the split of shoppers, `shares` says which policy a shopper
belongs to, `features` what a policy goes by, `item_rates` holds what was clicked of what was shown, `policies` puts
them together and learns from rewards; `comparison` keeps the figures of each policy, `confidence` their intervals,
and `guard` says which policy has to stop.
"""
