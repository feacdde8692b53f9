"""What happens: agents, models, the ranker, the replica, the publisher, and the command line.

`app` is the one composition root; `settings` the only reader of the environment.
"""
