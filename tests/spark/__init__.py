"""Tests of a lake in Apache Spark."""
