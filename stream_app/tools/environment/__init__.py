"""The environment of a run: servers, topics, worker processes and their metrics, signals.

The demo, the simulator and the benchmark start here; this package imports none of them.
"""
