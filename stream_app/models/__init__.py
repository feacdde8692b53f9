"""The recommendation models: one algorithm per file, all subclasses of `base.Model`, all pure.

Allowed imports: the standard library, numpy, numba, river, `topics` and `stream_app.errors`; not Faust, Kafka,
Redis or a clock, since times are arguments. `model_set` combines the models of a replica over one item index and
one session tracker; `kernels` has the compiled inner loops.
"""
