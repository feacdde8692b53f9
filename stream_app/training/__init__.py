"""Training of the two-tower model with JAX; needs the extra ``headrace[neural]``."""
