"""What Ctrl-C and SIGTERM do to a run."""

from rich.console import Console

from intercom_async.bulk import DetachRun
from intercom_async.cli.printing import say


class Interrupter:
    """Stops a run at a signal: the first lets requests in flight finish, the second does not."""

    def __init__(self, run: DetachRun, console: Console) -> None:
        self._run = run
        self._console = console
        self.presses = 0

    def __call__(self) -> None:
        """Handle one signal."""
        self.presses += 1
        if self.presses == 1:
            stopping = "stopping: requests in flight finish; press Ctrl-C again to stop at once"
            say(self._console, stopping, "yellow")
        self._run.stop(immediately=self.presses > 1, drain=False)
