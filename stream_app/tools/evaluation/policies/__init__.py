"""Off-policy evaluation: estimates of the reward of a policy from the log of another one.

`rounds` is a log in memory, read by `open_bandit` or `headrace_log` (Headrace's own lists and rewards), or sampled by
`synthetic_log` with a known truth. `targets` has the policies to evaluate, `reward_models` the reward models,
`estimators` the estimators and `studentized_bootstrap` their intervals. `policy_evaluation` combines them, `verdicts`
interprets the result, `estimator_coverage` validates the estimators, `policy_report` has reports, tables and plots.
May import what `stream_app.tools.evaluation` may.
"""
