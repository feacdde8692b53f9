"""Compiled inner loops of the models, one file a model; `shared` has what several models call."""
