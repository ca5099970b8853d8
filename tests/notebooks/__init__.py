"""Tests of the notebooks: as code, and what they show."""
