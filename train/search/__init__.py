"""Search in pictures by words, by a picture, or by both: python -m train search index | query | serve.

INDEX/index.json          what is indexed, written last: the places, the parts, the approximate index
      model/              the checkpoint that made the features, so that an index needs no run beside it
      parts/000000/       a shard's, or up to 1,000 files' or one video's features and rows; see `parts`
      approximate.faiss   see `approximate`; only where exact search would take long
      copies.sqlite       dropped copies by the key of the pair that was kept; see `copies`
"""
