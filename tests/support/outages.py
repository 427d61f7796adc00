"""The ways in which Intercom is away."""

import asyncio
from typing import Final

from intercom_async.simulator import Fault, IntercomSimulator

REFUSED: Final = "refused"
UNAVAILABLE: Final = "unavailable"
WAYS: Final = [UNAVAILABLE, REFUSED, Fault.RESET_BEFORE_APPLYING, Fault.HANG]


async def be_away(sim: IntercomSimulator, how: Fault | str, seconds: float) -> None:
    """Apply nothing for so many seconds."""
    if how == UNAVAILABLE:
        await sim.outage(seconds)
    elif isinstance(how, Fault):
        order = sim.faults.add(how, probability=1.0)
        await asyncio.sleep(seconds)
        sim.faults.remove(order)
    else:
        await sim.aclose()
        await asyncio.sleep(seconds)
        await sim.start()
