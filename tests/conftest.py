"""What holds for all tests."""

from hypothesis import settings

# A limit of time for each example is a timed test: on a machine that is shared it fails for nothing.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")
