"""The command line: the only room with Click and Rich."""
