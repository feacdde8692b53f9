"""From candidates to a list: gather, fuse, apply the rules, explain.

Pure: no Faust, Kafka, Redis or clock. `request` is what a list is asked with, `fusion` merges the sources,
`rules` says what may not be shown, `ranker` joins them.
"""
