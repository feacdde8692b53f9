"""The benchmark (``make bench``): Headrace beside a bare Faust agent, in one run on one broker.

`yardsticks` holds the agents it is compared with, `consumer` the process that runs one of them or the whole,
`report` the run and its table.
"""
