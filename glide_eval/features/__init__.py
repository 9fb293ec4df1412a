"""One pass over images for all extractors, and the cache of what it gave."""
