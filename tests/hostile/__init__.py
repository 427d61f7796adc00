"""Servers that answer with nonsense, lies and bombs, and what must hold all the same."""
