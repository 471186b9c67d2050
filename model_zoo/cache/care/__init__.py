"""Looking after a cache: verify, repair, gc, and what they need to know. No look-up imports any of it."""
