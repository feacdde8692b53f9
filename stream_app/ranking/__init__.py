"""From candidates to a list: gather, fuse, apply the rules, explain.

Pure: no Faust, Kafka, Redis or clock. `request` is the input, `fusion` merges the candidates of the models,
`list_rules` and `diversity` select the list, `search` orders search results, `ranker` joins them. `assembly` makes
all of it from `config`. Compiled code is in `kernels`.
"""
