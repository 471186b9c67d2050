"""The command line: argv → zoo → exit code. One file per command group."""
