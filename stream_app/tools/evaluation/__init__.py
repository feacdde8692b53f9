"""Offline evaluation: list quality on logs, with the fold and the ranker of the workers.

- `sessions`: next-click prediction on session files; `session_files` reads them and gives them times.
- `event_logs`, `rerank`: prequential evaluation of whole logs, on the harness of `log_evaluation`.
- `tuning`: hyperparameter search over the `search_spaces`; `trials` run one set of parameters.
- `ranking_metrics`, `bootstrap`, `latency`, `split_metrics`: statistics.
- `report`, `tables`, `plots`: output.
- `policies`: off-policy evaluation.

Nothing here learns or ranks on its own.
"""
