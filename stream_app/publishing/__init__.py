"""Lists out: the Redis contract and the publishers.

`contract` holds the keys and documents that the web tier reads; `port` is what a publisher does, with a Redis
adapter and an in-memory one; `dirty` is the set of shoppers whose list waits. Redis is known only to
`redis_publisher` and `redis_check`.
"""
