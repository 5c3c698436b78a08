"""Reading and writing frames: images, arrays, streams."""
