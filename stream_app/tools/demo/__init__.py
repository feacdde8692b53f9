"""``headrace demo``: servers and workers on one machine, a feed of events, and a live screen.

`runner` controls a run. `event_sources` and `feeder_thread` feed events, `stop_condition` decides when the run ends.
`featured_user` and `search_comparison` select the content of the screen; `screen`, `panels` and `formatting` draw it.
`demo_report` is the result. Lists are read by `stream_app.client` only; servers, workers and their metrics come from
`stream_app.tools.environment`.
"""
