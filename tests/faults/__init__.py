"""Faults of machines, brokers and stores: `make faults` runs these tests."""
