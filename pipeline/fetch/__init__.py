"""The HTTP engine: one work unit of pairs in, staged pictures and rejections out.

engine  units, order and files        client  one URL: tries, redirects, limits
guard   which addresses may be reached    robots  what a site's owner allows
pace    how often a host is asked     pixels  decode, check, resize, encode, hash
"""
