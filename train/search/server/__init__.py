"""The search page: a web server for one index, safe on a machine of one's own (see `guard`)."""
