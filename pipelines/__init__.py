"""What a person or a scheduler runs: the command line, the load, the store."""
