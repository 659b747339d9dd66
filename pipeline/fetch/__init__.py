"""The HTTP engine: one work unit of pairs in, staged pictures and rejections out.

engine   units, order and files                client    one URL: checks, tries, redirects, manners
exchange one request, every way it can fail    answers   what comes of it
guard    which addresses may be reached        names     names to addresses, checked and remembered
pace     how often hosts are asked             gate      how many downloads are in flight
buffer   how many bytes are coming in          breaker   hosts that are given up for now
sites    what is remembered of each site       robots, tdm   what its owner allows
judge    may an answer be kept?                 session   how aiohttp is set up
contact  who asks must be findable             unpack    packed bodies
decoders decoding in other processes           decoder   the other side
pixels   a picture's way, of which: decode, colour, resize, encode, jpeg (what is passed through)
"""
