"""`headrace demo`: everything started, fed and watched on one machine.

`runner` puts the parts together; `workers` are child processes, `figures` what their metrics say (`quantiles`
reads times out of histogram buckets), `spotlight` follows one shopper's list, `screen` draws, `report` is
what is written in the end, `interrupts` turns signals into a clean end. Talks to Redis through
`stream_app.client` only.
"""
