"""A small web with a known truth: drawn pictures, natural captions, every fault a crawl meets, on localhost.

Start at `world` (what is there), `truth` (what should become of it) and `server` (how it answers). The
drawing is in `draw`, `things` and `places`. Nothing here imports Beam, and nothing reaches outside this
machine.
"""
