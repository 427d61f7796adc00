"""A loopback Intercom for tests: real HTTP, a workspace in memory, faults on request.

`IntercomSimulator` says how to use it; with pytest, see `pytest_plugin`.
"""

from intercom_async.simulator.endpoints import ReplyForm
from intercom_async.simulator.faults import Fault, FaultPlan, Injection
from intercom_async.simulator.quota import Quota
from intercom_async.simulator.requests import Request, Requests
from intercom_async.simulator.server import IntercomSimulator
from intercom_async.simulator.workspace import RefusedError, Workspace

__all__ = [
    "Fault",
    "FaultPlan",
    "Injection",
    "IntercomSimulator",
    "Quota",
    "RefusedError",
    "ReplyForm",
    "Request",
    "Requests",
    "Workspace",
]
