"""Tests of the adapters of Flower and dp-accounting, for `make test-federated`, whose environment has these."""
