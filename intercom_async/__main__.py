"""`python -m intercom_async` is the command `intercom-async`."""

from intercom_async.cli import main

main()
