"""What several rows need: an nginx of their own, the peers, and alternating measurements."""
