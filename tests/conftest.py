"""Settings of all tests."""

from hypothesis import settings

# A deadline times a test, and fails it on a busy machine.
settings.register_profile("lrladder", deadline=None)
settings.load_profile("lrladder")
