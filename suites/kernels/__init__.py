"""Benchmarks of kernels, for asv and for pytest-benchmark, generated from the registry's workloads."""
