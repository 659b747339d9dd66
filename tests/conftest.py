"""Settings of all tests."""

from hypothesis import settings

# A time limit per example measures the machine's other work, not ours.
settings.register_profile("openwit", deadline=None)
settings.load_profile("openwit")
