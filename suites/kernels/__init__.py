"""Benchmarks of kernels, for asv and for pytest-benchmark, made from the registry's workloads."""
