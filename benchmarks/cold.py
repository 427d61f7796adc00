"""A thousand calls started at once by a client that was just opened: no connection is there yet."""

from typing import Final

from benchmarks.client_process import ClientProcess
from benchmarks.figures import Bound, Comparison
from benchmarks.load_server import start_server
from benchmarks.options import Options, in_turn
from benchmarks.rivals import BARE, OURS

CALLS: Final = 1000


def measure(options: Options) -> list[Comparison]:
    """Measure from opening the client to closing it."""
    wall: dict[str, list[float]] = {BARE: [], OURS: []}
    cpu: dict[str, list[float]] = {BARE: [], OURS: []}
    with start_server() as server:
        for number in range(options.rounds):
            with ClientProcess(BARE, server.url) as bare, ClientProcess(OURS, server.url) as ours:
                clients = {BARE: bare, OURS: ours}
                for client in clients.values():
                    client.burst(CALLS, CALLS, fresh=True)  # imports what is imported late
                for name in in_turn(list(clients), number):
                    cost = clients[name].burst(CALLS, CALLS, fresh=True)
                    wall[name].append(cost.wall * 1e3)
                    cpu[name].append(cost.cpu * 1e3)
    name = f"cold start, {CALLS:,} calls at once"
    bounds = {OURS: Bound("ratio", 1.3)}
    return [
        Comparison(name=name, unit="ms", baseline=BARE, rounds=wall, bounds=bounds),
        Comparison(name=f"{name}, CPU", unit="ms of CPU", baseline=BARE, rounds=cpu),
    ]
