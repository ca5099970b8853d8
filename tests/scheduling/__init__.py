"""The recipes of ``docs/scheduling.md``, run as they stand there."""
