import pytest

pytest.importorskip("jax", reason="the trainer needs JAX: pip install 'headrace[neural]'")
