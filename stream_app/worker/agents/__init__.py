"""The agents: thin, decode → call pure code → send.

`users` takes the shoppers' events, `catalog` the items; `flusher` ranks and publishes what became dirty,
`prequential` measures the published lists, `dead_letters` writes down what could not be taken. Faust is named
only where an agent is declared.
"""
