"""Tests of the SQL: given rows, expected rows."""
