"""One request made reliable: quota, retries, timeouts and bounds around aiohttp.

`sending` runs a call; `retrying` and `outage` decide on its next attempt, `doubt` on believing a
reply. `http` makes one attempt, and `hiding` takes the token out of replies. The wait after a 429
is in `pacing.window`, and the outcome of a write in doubt in `detaching`.
"""
