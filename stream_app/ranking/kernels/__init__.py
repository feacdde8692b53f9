"""Compiled inner loops of ranking; the conventions of docstrings are those of `stream_app.models.kernels`."""
