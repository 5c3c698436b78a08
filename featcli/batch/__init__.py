"""Processing many inputs: find them, process each one, record the results."""
