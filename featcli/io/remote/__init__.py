"""Objects in buckets, and single ones on the web: everything that leaves this machine."""
