"""Benchmarks of the real server, each beside a ceiling measured in the same run. `make bench` runs them all."""
