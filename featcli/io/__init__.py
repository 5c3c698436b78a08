"""Bytes to frames and back: images, arrays, streams."""
