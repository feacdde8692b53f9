"""Publishing: pending work becomes ranked lists in Redis, in memory and on the ``lists`` topic.

Start with `flush_loop`, which states the order of a flush. It takes work from `pending_queue` (with `pending_set` and
`stale_lists`), builds lists with `list_builder` (with `list_documents` and `shared_lists`) into a `flush_batch`,
records them in `list_log`, and sends them through the port in `publisher`. `degraded_ranking` is the strategy under
overload; `telemetry` and `prequential` measure. Redis is imported only by `redis_connection` and `redis_inspection`.
"""
