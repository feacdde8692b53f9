"""Compiled inner loops of the policies.

Columns are named by enums; related arrays are named tuples whose docs have shapes and dtypes. Outputs come last.
"""
