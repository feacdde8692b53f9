"""Fusion of the scores of several models into one order: by ranks, by weights, learned from choices."""
