"""Kafka without Faust: the batching producer, log consumers, event records and their senders, errors."""
