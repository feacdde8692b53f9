"""Compiled inner loops of the features of live policies."""
