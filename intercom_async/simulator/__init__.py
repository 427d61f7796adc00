"""A loopback Intercom for tests: real HTTP, a workspace in memory, faults on request.

    async with IntercomSimulator(limit=50) as sim:
        conversation_id, contact_id = sim.workspace.populate(conversations=1)[0]
        sim.faults.add(Fault.RESET_AFTER_APPLYING)
        async with IntercomClient(sim.token, base_url=sim.url) as client:
            await client.detach_contact(conversation_id, contact_id, admin_id=sim.admin_id)
        assert sim.applied[conversation_id, contact_id] == 1

Without asyncio, `with IntercomSimulator() as sim:` does the same in a thread of its own. With
pytest, the fixture `intercom_simulator` does the first line; see `pytest_plugin`.
"""

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
