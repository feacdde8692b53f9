"""Compiled inner loops of the policies.

Columns are named by enums; related arrays are named tuples, whose fields have shapes and dtypes. Outputs come last.

Sums over events are weighted: `weight` is the weight of an event by its time, `decay_factor` the factor from the sums
to the sums decayed until now. A `seed` starts a generator of its own; see `stream_app.bandit.kernels.random`. The
other conventions are those of `stream_app.models.kernels`.
"""
