"""Settings of all tests."""

import os

from hypothesis import settings

# Before torch is imported, and for the processes that tests start: models this small are several times slower
# on two threads, which wait for each other longer than they work.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A time limit per example measures the machine's other work, not ours.
settings.register_profile("openwit", deadline=None)
settings.load_profile("openwit")
