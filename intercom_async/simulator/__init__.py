"""A loopback Intercom for tests: real HTTP, a workspace in memory, faults on request.

    async with IntercomSimulator(limit=50) as sim:
        conversation_id, contact_id = sim.workspace.populate(conversations=1)[0]
        sim.faults.add(Fault.RESET_AFTER_APPLYING)
        async with IntercomClient(sim.token, base_url=sim.url) as client:
            await client.detach_contact(conversation_id, contact_id, admin_id=sim.admin_id)
        assert sim.applied[conversation_id, contact_id] == 1

With pytest, the fixture `intercom_simulator` does the first line; see `pytest_plugin`.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from intercom_async.simulator.endpoints import ReplyForm
    from intercom_async.simulator.faults import Fault, FaultPlan, Injection, Outage
    from intercom_async.simulator.quota import Quota, Standing, WindowUsage
    from intercom_async.simulator.refusals import Refusal, RefusedError
    from intercom_async.simulator.requests import Request, Requests
    from intercom_async.simulator.server import IntercomSimulator, Latency
    from intercom_async.simulator.workspace import Admin, Contact, Conversation, Workspace

__all__ = [
    "Admin",
    "Contact",
    "Conversation",
    "Fault",
    "FaultPlan",
    "Injection",
    "IntercomSimulator",
    "Latency",
    "Outage",
    "Quota",
    "Refusal",
    "RefusedError",
    "ReplyForm",
    "Request",
    "Requests",
    "Standing",
    "WindowUsage",
    "Workspace",
]

_HOMES: Final = {
    "endpoints": ("ReplyForm",),
    "faults": ("Fault", "FaultPlan", "Injection", "Outage"),
    "quota": ("Quota", "Standing", "WindowUsage"),
    "refusals": ("Refusal", "RefusedError"),
    "requests": ("Request", "Requests"),
    "server": ("IntercomSimulator", "Latency"),
    "workspace": ("Admin", "Contact", "Conversation", "Workspace"),
}


def __getattr__(name: str) -> Any:
    # Every pytest run imports this package to find the plugin below it; the web server is
    # imported by those runs alone that use it.
    for module, names in _HOMES.items():
        if name in names:
            value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
