"""docs/locking.md lists the locks of every design, and says of each that is a design's own what it guards."""

from pathlib import Path

from uvmfree.kern.lockrank import RANKS
from uvmfree.uvm.designs import REGISTRY

DOCUMENT = (Path(__file__).parents[2] / "docs/locking.md").read_text()


def test_every_design_has_its_row() -> None:
    wanted = [
        f"| {design.name} | {', '.join(f'`{rank.name}`' for rank in design.LOCKS)} |" for design in REGISTRY.values()
    ]
    names = tuple(f"| {name} | `" for name in REGISTRY)
    assert [line for line in DOCUMENT.splitlines() if line.startswith(names)] == wanted


def test_every_lock_of_a_designs_own_has_its_row() -> None:
    own = dict.fromkeys(rank for design in REGISTRY.values() for rank in design.LOCKS if rank not in RANKS)
    rows = {f"| `{rank.name}` | {rank.kind} | {rank.guards} | {rank.rule} |" for rank in own}
    assert rows <= set(DOCUMENT.splitlines())
