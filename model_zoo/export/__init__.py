"""Hand-off: what leaves the cache. Copies, never writable links into it."""
