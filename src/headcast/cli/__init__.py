"""The command line: parse options, call the interface in ``headcast.api``, report."""
