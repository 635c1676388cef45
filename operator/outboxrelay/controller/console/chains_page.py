"""Chains of relays: each as a picture, and as a table that says the same."""

from dataclasses import dataclass
from typing import Any

from outboxrelay.controller.console.chain_graph import TALL, WIDE, Graph, graph
from outboxrelay.controller.console.knowledge import Knowledge
from outboxrelay.decisions.chains import Chain, chains

MOST_CHAINS = 50
MOST_MEMBERS = 300


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chain with its pictures: for wide windows and for narrow ones."""

    chain: Chain
    pictures: tuple[Graph, ...]
    rows: tuple[tuple[int, Any], ...]
    """Number of the stage, and member."""
    left_out: int


def context(knowledge: Knowledge) -> dict[str, Any]:
    """What the template shows: chains that are held up first."""
    bodies = knowledge.bodies()
    found = sorted(chains(bodies, knowledge.row), key=lambda chain: chain.holder is None)
    return {
        "drawn": [drawn(chain) for chain in found[:MOST_CHAINS]],
        "left_out": max(0, len(found) - MOST_CHAINS),
        "held": sum(1 for chain in found if chain.holder is not None),
        "found": len(found),
        "relays": len(bodies),
    }


def drawn(chain: Chain) -> Drawn:
    """One chain."""
    pictures = tuple(picture for shape in (WIDE, TALL) if (picture := graph(chain, shape)) is not None)
    rows = [(number, member) for number, stage in enumerate(chain.stages, start=1) for member in stage]
    return Drawn(chain, pictures, tuple(rows[:MOST_MEMBERS]), max(0, len(rows) - MOST_MEMBERS))
