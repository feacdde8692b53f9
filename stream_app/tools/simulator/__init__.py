"""Simulated users: ``headrace simulate``, and the generated shop of the demo and the benchmark.

Users are pure state machines (`simulated_user`): their randomness is a seeded generator, their time an argument.
`generated_user` and `scheduled_user` act on preferences (`preference_world`, `generated_catalog`); `replayed_user`
follows a log (`logged_users`, `log_split`). All examine lists by one click model (`examination_model`). `loop` runs
them against real servers, `tally` and `user_outcomes` collect results, `regret` and `simulation_report` evaluate
them.
"""
