"""Compiled inner loops of ranking."""
