"""Which vectors are alike: exact neighbours, near pairs, groups of near-duplicates."""
