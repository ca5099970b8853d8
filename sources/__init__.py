"""Sources of executions: one folder a provider, HTTP in, typed rows out."""
