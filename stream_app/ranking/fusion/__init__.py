"""Fusion of the candidates of several models into one order: by rank, by learned weights, by learned features."""
