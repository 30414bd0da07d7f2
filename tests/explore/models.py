"""The models, by name: small programs on the shipped code, for an explorer of schedules.

=> `explore_model("redistribute", 500, seed=1)` explores one; on changed code too, which is what a seeded bug is.
"""

from typing import Final

from tests.explore.explorer import Outcome, explore_programs
from tests.explore.model import Model
from tests.explore.pages import BoundedPages, FpageqlockPages, Pages

PAGES: Final = (
    "alloc.free/free.alloc/redistribute.run",
    "alloc.alloc/free.free/timer.pressure",
    "free.zalloc/alloc.freelast/some.give.tick.timer",
    "alloc.alloc.alloc/alloc.alloc.alloc/pressure.redistribute",
)

_ALL: Final = (
    Model("redistribute", Pages, Pages.PARTS, PAGES, exhaust="alloc/free/redistribute"),
    Model("redistribute-bounded", BoundedPages, Pages.PARTS, PAGES, exhaust="alloc/free/redistribute"),
    Model("redistribute-fpageqlock", FpageqlockPages, Pages.PARTS, PAGES, exhaust="alloc/free/run"),
    Model(
        "counters",
        Pages,
        (("alloc", "free"), ("alloc", "free"), ("redistribute", "timer", "give")),
        ("free.alloc/alloc/redistribute", "free/free/give.timer"),
        ops_max=2,
        grain="instructions",
    ),
)

MODELS: Final[dict[str, Model]] = {model.name: model for model in _ALL}


def explore_model(
    name: str,
    iterations: int,
    seed: int,
    strategy: str = "pct",
    *,
    grain: str | None = None,
    patch: str | None = None,
) -> Outcome:
    """Explore a model's own programs and random ones; the outcome says how many schedules, and what failed.

    => `patch`: "module:name" of a context manager that changes the product; the line that replays a failure names it.
       A change that the caller makes himself is his to make again.
    => `grain`: "locks", "lines" or "instructions" between which threads switch; by default the model's own.
    """
    return explore_programs(MODELS[name], iterations, seed, strategy, grain=grain, patch=patch)
