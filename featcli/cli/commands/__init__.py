"""The commands that are not stages, one per file; the module docstring is the command's help."""
