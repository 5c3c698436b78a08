"""A network: its layers, its file, and how an array runs through it."""
