"""Tests of Discuro."""
