"""Files of web crawls: WAT and WARC into (picture, caption) rows. Nothing here asks a server for pictures."""
