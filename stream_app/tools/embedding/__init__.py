"""Embeddings of the entries of a catalog file, for `headrace embed`.

`catalog_file` reads the entries, `catalog_embedder` goes through them, `picture_folder` finds their pictures.
`vector_store` keeps what is computed, so that an interrupted run goes on, and `reduction` shortens it. `vector_files`
reads vectors for `projection`, the plot of the item space.
"""
