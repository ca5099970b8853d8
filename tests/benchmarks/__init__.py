"""Tests of the benchmarks: that they keep working; no test asserts a time."""
