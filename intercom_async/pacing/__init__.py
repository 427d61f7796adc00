"""Paces requests by the quota: when one may leave, on the clock of the server."""
