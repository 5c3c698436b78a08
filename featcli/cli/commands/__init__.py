"""The commands that are no stages, one a file; each file's docstring is its command's help."""
