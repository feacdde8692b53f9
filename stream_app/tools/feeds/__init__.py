"""Log files into Kafka: what `headrace replay` and the demo feed.

One module a format (`jsonl`, `mapped_csv`, `trivago`), each a function from the lines of a file to rows;
`formats` is their registry, `log` puts the rows in order and moves old times to now, `pacing` keeps the rate,
`feeder` sends, and `outbox` is the port to Kafka, `kafka_outbox` its adapter. Imports `topics`, never Faust
or Redis.
"""
