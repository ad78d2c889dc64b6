"""Eighteen months of a real shop's orders, reported, validated and settled: `python -m benchmarks.replay`."""
