"""Tools around the worker: command line, demo, simulator, evaluation, benchmarks, embedded servers, feeds.

A tool may import every other package of Headrace; no other package imports a tool.
"""
