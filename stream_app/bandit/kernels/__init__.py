"""Compiled inner loops of the policies."""
