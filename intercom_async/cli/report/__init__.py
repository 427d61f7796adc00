"""The command `report`: what a journal tells about a run, for people and for programs.

`gathering` adds a journal's lines up to `facts`, with `causes` and `timeline` as its bounded
memories. `text`, `page` and `document` show the same facts in the terminal, as an HTML file and
as JSON. Only `saving` and `command` touch anything outside.
"""

from intercom_async.cli.report.command import report

__all__ = ["report"]
