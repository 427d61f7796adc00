"""Some workspaces at once, each a simulator of its own."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from intercom_async import WorkspaceAccess
from intercom_async.simulator import IntercomSimulator


class Town:
    def __init__(self, simulators: dict[str, IntercomSimulator]) -> None:
        self.simulators = simulators
        self.lookups: list[str] = []

    def __getitem__(self, workspace: str) -> IntercomSimulator:
        return self.simulators[workspace]

    async def access(self, workspace: str) -> WorkspaceAccess:
        """A directory as a database would be one."""
        self.lookups.append(workspace)
        await asyncio.sleep(0.01)
        sim = self.simulators[workspace]
        return WorkspaceAccess(sim.token, base_url=sim.url, admin_id=sim.admin_id)

    def populate(self, conversations: int) -> dict[str, list[tuple[str, str]]]:
        """Fill each workspace and return its pairs."""
        return {
            key: sim.workspace.populate(conversations=conversations)
            for key, sim in self.simulators.items()
        }


@asynccontextmanager
async def town(size: int, **options: Any) -> AsyncGenerator[Town]:
    async with AsyncExitStack() as stack:
        simulators = {
            f"ws{n}": await stack.enter_async_context(
                IntercomSimulator(
                    token=f"marked-token-{n}", seed=n, app_id=f"app{n}", keep_log=True, **options
                )
            )
            for n in range(size)
        }
        yield Town(simulators)


def mixed(pairs: dict[str, list[tuple[str, str]]]) -> Iterator[tuple[str, str, str]]:
    """One pair of each workspace after the other."""
    for row in zip(*pairs.values(), strict=True):
        for workspace, pair in zip(pairs, row, strict=True):
            yield (workspace, *pair)
