"""The environment of a run: servers, topics, worker processes and their metrics, signals."""
