"""Access to objects in buckets, and to single objects on the web."""
