"""Paces requests by the quota: when one may leave, on the clock of the server.

`window` has the arithmetic, also after a 429; `limiter` has the queues in which requests wait.
"""
