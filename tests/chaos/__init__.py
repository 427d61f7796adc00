"""Networks that break, and what must be true of every pair all the same."""
