"""Benchmarks: ``make bench``, ``make bench-bandit`` and ``make closed-loop``.

``make bench`` is `__main__`: `throughput` compares Headrace with the bare Faust agents of `baseline_agents`, each run
by a `consumer_process`; `freshness` measures latency at a steady rate, `learning_cost` the models alone.
"""
