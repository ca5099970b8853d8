"""Tests of Torale."""
