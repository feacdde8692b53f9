"""State per user and per published list, and snapshots; imports `topics` alone.

`row` is a user's row and its encoding, `fold` folds an event into it by the rules of `dedup` and `session_window`,
and `user_table` stores the rows in a Faust table (the only module here that imports Faust). `published_list` is one
published list with its outcomes, `list_store` holds the lists of all users, `retention` selects the lists to evict,
`attribution` matches reactions with lists, and `log_progress` holds how much of their log is known. `model_store`
stores snapshots of the models.
"""
