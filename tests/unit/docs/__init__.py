"""Pages of docs/ agree with the code."""
