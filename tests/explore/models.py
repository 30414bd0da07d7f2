"""The models, by name: small programs on the shipped code, for an explorer of schedules.

=> `explore_model("redistribute", 500, seed=1)` explores one; on changed code too, which is what a seeded bug is.
"""

from typing import Final

from tests.explore.anons import Anons, FpageqlockAnons
from tests.explore.closing import Closing, FpageqlockClosing
from tests.explore.everything import Everything
from tests.explore.explorer import Outcome, explore_programs
from tests.explore.hotplug import FpageqlockHotplugging, Hotplugging
from tests.explore.idling import FpageqlockIdling, Idling
from tests.explore.lastlooks import LastLooks
from tests.explore.pages import (
    BoundedCounting,
    BoundedPages,
    Counting,
    DepotPages,
    FpageqlockCounting,
    FpageqlockPages,
    Pages,
    SocketPages,
)
from tests.explore.paging import PagingSystem
from tests.explore.reserves import DepotReserves, RefillReserves, Reserves, SocketReserves
from tests.explore.scene import Model
from tests.explore.waiting import Waiting, WaitingSystem
from tests.explore.xcalls import OneXcall, Xcalls

PAGES: Final = (
    "alloc.free/free.alloc/redistribute.run",
    "alloc.alloc/free.free/timer.pressure",
    "free.zalloc/alloc.freelast/some.give.timer",
    "alloc.alloc.alloc/alloc.alloc.alloc/reclaim.redistribute",
)

COUNTERS: Final = ("free/alloc/redistribute", "alloc/alloc/reclaim", "free.alloc/free/give", "free/alloc/some")
SPILLS: Final = ("free/alloc.alloc/redistribute", "free/free/reclaim", "free.alloc/free/some")
LISTS: Final = ("uvmfree/uvm/designs", "uvmfree/uvm/freelist.py", "uvmfree/uvm/pglist.py")

HOTPLUG: Final = (
    "alloc.free/alloc.free/detach.attach/idle_one",
    "free.bind/free.alloc/more.detach/idle_break.give",
    "alloc/free.bind/detach.some.redistribute/idle_one.other",
)

COMINGS: Final = ((), ("alloc", "free", "bind"), ("detach", "attach"), ())
COMES: Final = ("/alloc.alloc/detach.attach/", "/free.alloc/detach.attach/", "/bind.alloc/detach.attach.detach/")
COMING: Final = ("uvmfree/uvm/hotplug.py", "uvmfree/uvm/refuse.py", "uvmfree/uvm/binding.py", "uvmfree/uvm/design.py")

IDLE: Final = (
    "alloc.free/idle_one/run.redistribute",
    "free.zalloc/idle_two/some.give",
    "zalloc/idle_break/run",
    "free/idle_two/grab.grab",
)

PAGING: Final = (
    "free.wait/free.free/give.redistribute",
    "free.wait/free.free/give.alarm",
    "wait/free.free/give.give",
)

RESERVES: Final = ("alloc.alloc/alloc.zalloc/give.redistribute", "zalloc.alloc.alloc/alloc.alloc.alloc/redistribute")

DEPOT: Final = ("uvmfree/uvm/designs/depot.py", "uvmfree/uvm/sockets.py", "uvmfree/uvm/units.py")

LOOKS: Final = ("uvmfree/uvm/designs/depot.py", "uvmfree/uvm/lastlook.py")
LAST: Final = ("alloc/alloc/alloc", "alloc.alloc/alloc/alloc", "alloc.alloc/alloc.alloc/", "alloc.alloc.alloc/alloc/")

CLOSING: Final = (
    "alloc.zalloc/call.run/close",
    "bind.free/patient/page_out.close",
    "wait.alloc/idle_one.redistribute/close",
    "waitfor.bind/kick.audit/detach.close",
    "alloc/attach.fewer/detach.close",
)

PAGERS: Final = ("uvmfree/uvm/anon.py", "uvmfree/uvm/swap.py", "uvmfree/uvm/pageout.py", "uvmfree/uvm/pdaemon.py")
ANONS: Final = (
    "fill/sweep/kick",
    "write0.read0/write0.discard0/fail",
    "fill.read0/sweep/fail.detach",
    "fill/write2.sweep/tick.look",
)

LENDING: Final = (
    "free.free.alloc/free.free.free/tick",
    "alloc.alloc.alloc.alloc/alloc.alloc.alloc.alloc/tick.redistribute",
    "alloc.alloc.alloc.alloc.free/alloc.alloc.alloc.alloc.free/give.some",
    *PAGES,
)
BOUNDED: Final = ("free.free/alloc.alloc.alloc/tick", *PAGES)

_ALL: Final = (
    Model("redistribute", Pages, Pages.PARTS, PAGES, exhaust=("alloc/free/redistribute",)),
    Model("redistribute-bounded", BoundedPages, Pages.PARTS, BOUNDED, exhaust=("alloc/free/redistribute",)),
    Model("redistribute-depot", DepotPages, Pages.PARTS, LENDING, exhaust=("alloc/free/redistribute",)),
    Model("redistribute-sockets", SocketPages, Pages.PARTS, LENDING, exhaust=("alloc/free/redistribute",)),
    Model("redistribute-fpageqlock", FpageqlockPages, Pages.PARTS, PAGES, exhaust=("alloc/free/run",)),
    Model("counters", Counting, Counting.PARTS, COUNTERS, ops_max=2, grain="instructions", traced=LISTS),
    Model(
        "counters-bounded",
        BoundedCounting,
        Counting.PARTS,
        SPILLS,
        ops_max=2,
        grain="instructions",
        traced=LISTS,
    ),
    Model(
        "counters-fpageqlock",
        FpageqlockCounting,
        Counting.PARTS,
        COUNTERS,
        ops_max=2,
        grain="instructions",
        traced=LISTS,
    ),
    Model(
        "waiting",
        Waiting,
        Waiting.PARTS,
        (
            "wait.wait/kick.wait/free.arrive",
            "wait/waitfor.kick/arrive.tick.arrive",
            "waitfor.wait/wait/tick.free.close",
        ),
        exhaust=("wait//arrive", "wait/kick/"),
    ),
    Model(
        "waiting-system",
        WaitingSystem,
        WaitingSystem.PARTS,
        ("free.wait/waitfor.free/start.done.redistribute", "wait.alloc/free.waitfor/start.tick.redistribute"),
        ops_max=2,
    ),
    Model(
        "xcall",
        Xcalls,
        Xcalls.PARTS,
        ("all.bad/other.patient/tick.close", "send.wait/bad.all/close.one", "one.all/patient/tick.tick"),
    ),
    Model(
        "xcall-one",
        OneXcall,
        OneXcall.PARTS,
        ("all.bad/tick.all", "send.wait/close"),
        exhaust=("all/", "send.wait/", "all/tick"),
    ),
    Model("hotplug", Hotplugging, Hotplugging.PARTS, HOTPLUG, ops_max=2, exhaust=("alloc/free/detach/",)),
    Model("comings", Hotplugging, COMINGS, COMES, traced=COMING),
    Model("hotplug-fpageqlock", FpageqlockHotplugging, Hotplugging.PARTS, HOTPLUG, ops_max=2),
    Model(
        "everything",
        Everything,
        Everything.PARTS,
        (
            "bind.waitfor/freelast.kick/redistribute.tick",
            "call.free/bind.zalloc/detach.attach",
            "alloc.call/idle_one/some",
        ),
        ops_max=2,
    ),
    Model("closing", Closing, Closing.PARTS, CLOSING, ops_max=2),
    Model("closing-fpageqlock", FpageqlockClosing, Closing.PARTS, CLOSING, ops_max=2),
    Model("anon", Anons, Anons.PARTS, ANONS, ops_max=2, traced=PAGERS),
    Model("anon-fpageqlock", FpageqlockAnons, Anons.PARTS, ANONS, ops_max=2, traced=PAGERS),
    Model("paging", PagingSystem, PagingSystem.PARTS, PAGING),
    Model("reserves", Reserves, Reserves.PARTS, RESERVES),
    Model("reserves-refill", RefillReserves, Reserves.PARTS, RESERVES),
    Model("reserves-depot", DepotReserves, Reserves.PARTS, RESERVES, traced=DEPOT),
    Model("reserves-sockets", SocketReserves, Reserves.PARTS, RESERVES, traced=DEPOT),
    Model("last-looks", LastLooks, LastLooks.PARTS, LAST, exhaust=("alloc/alloc/",), traced=LOOKS),
    Model("idle", Idling, Idling.PARTS, IDLE, ops_max=2, exhaust=("alloc/idle_one/run",)),
    Model("idle-fpageqlock", FpageqlockIdling, Idling.PARTS, IDLE, ops_max=2),
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
