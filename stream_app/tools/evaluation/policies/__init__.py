"""What another policy would have earned on logged traffic: off-policy evaluation.

`rounds` is a log in memory, read by `open_bandit`, `published` (Headrace's own lists and rewards, from files or, by
`topics`, from Kafka) or drawn by `synthetic`, whose truth is known. `targets` are the policies asked about, `rewards`
the reward models, `estimators` the estimators, `intervals` their intervals; `evaluation` puts them together,
`verdicts` says in words what came out, `coverage` checks the estimators, `results` has reports, tables and plots.
May import what `stream_app.tools.evaluation` may.
"""
