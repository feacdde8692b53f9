"""State per user and per published list, and snapshots; imports `topics` alone.

`row` is a user's row and its encoding, `fold` folds an event into it by the rules of `dedup` and `session_window`.
`user_rows` is the port to the stored rows, `user_table` its adapter to a Faust table, `row_store` the RocksDB store
of that table (the two modules here that import Faust). `published_list` is one published list with its outcomes,
`list_store` holds the lists of all users, `retention` selects the lists to evict, `attribution` matches reactions
with lists, and `log_progress` holds how much of their log is known. `snapshots` stores snapshots of the models.
"""
