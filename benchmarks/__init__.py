"""What the project's own work costs, measured; ``python -m benchmarks`` runs it."""
