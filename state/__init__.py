"""What is remembered: the shopper's row and its pure fold, and the model store.

`row` is the row and its encoding, `fold` takes an event into it, `duplicates` and `sessions` are the rules the
fold applies, `tables` is the Faust table that keeps the rows (the only module here that knows Faust), and
`model_store` keeps snapshots of the models. `published_list` is a list as it is remembered, `lists` the memory of
them, `retention` says which of a shopper's stay, and `attribution` matches reactions with them.
"""
