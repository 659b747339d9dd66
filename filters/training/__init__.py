"""How the data files that the filters ship were made: word lists and models, from public sources."""
