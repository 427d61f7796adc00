"""`python -m intercom_async.cli` is `intercom-async`."""

from intercom_async.cli import main

main()
