"""Feed log files into Kafka, for `headrace replay` and the demo.

One module per format (`jsonl`, `mapped_csv`, `trivago`), each a function from the lines of a file to rows; `formats`
is their registry. `event_log` sorts the rows and shifts old times to now, `pacing` keeps the rate, `feeder` sends.
Imports neither Faust nor Redis.
"""
