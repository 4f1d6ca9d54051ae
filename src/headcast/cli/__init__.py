"""The command line: thin, all work is done below."""
