"""Tests of Unstract."""
