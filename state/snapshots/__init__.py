"""Snapshots of the models, and the stores that hold them.

`encoding` is the format of a snapshot and its migrations, `names` the names and their order, `files` the port to
where snapshots are stored with its adapter to a folder, `remote_files` the adapter to any path of fsspec,
`model_store` the interface of a store, and `store` the store of files: publication, rotation, what is set aside and
what is kept.
"""
