"""Running a compiled model on inputs, and interpreting its outputs."""
