"""Run a compiled model over inputs, and say what came out."""
