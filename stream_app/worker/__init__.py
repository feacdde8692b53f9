"""One worker process: `app` wires its parts, `lifecycle` starts it, `replica` follows the logs into the models.

The agents are thin: decode, call pure code, send. Faust is named only in `app`, `agents` and the adapters
`transport`, `ordering`, `monitor`, `process`.
"""
