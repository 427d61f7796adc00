"""A loopback Intercom."""
