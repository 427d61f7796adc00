"""One request made reliable: quota, retries, timeouts and bounds around aiohttp."""
