"""The models: one algorithm a file, all behind the protocol of `base`, all pure.

May be imported here: the standard library, numpy, numba, river, `topics` and `stream_app.errors`. Never
Faust, Kafka, Redis or a clock: time comes in with the interaction. `model_set` joins the models of a replica
over one item index and one session tracker.
"""
