"""Who computes what: from names on a command line to a finished run."""
