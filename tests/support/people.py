"""People with addresses and group conversations, in a simulator."""

from intercom_async.simulator import IntercomSimulator


def town(sim: IntercomSimulator, people: int, *, conversations: int) -> set[tuple[str, str]]:
    """Add people, each in so many group conversations and one without others; return pairs."""
    workspace = sim.workspace
    pairs: set[tuple[str, str]] = set()
    for number in range(people):
        contact = workspace.add_contact(
            email=f"p{number}@x.example", external_id=f"e{number}", contact_id=f"c{number}"
        )
        workspace.add_conversation([contact])
        for _ in range(conversations):
            pairs.add((workspace.add_conversation([contact, workspace.add_contact()]), contact))
    return pairs


def addresses(people: int) -> list[str]:
    return [f"p{number}@x.example" for number in range(people)]
