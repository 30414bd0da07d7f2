"""Runs models under many schedules, and says in one line how to run a failing one again.

=> Needs `interleave_test`, hence Python 3.12 or later; imported when first used, so that others may import this.
=> Switch points: every operation on a lock, thread or shared counter, and where the grain says so every line or every
   instruction of the allocator. What only sets up, checks or reports has none.
"""

import contextlib
import hashlib
import importlib
import itertools
import json
import platform
import random
import shlex
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.explore.scene import Model, Program, parsed, written

ROOT = Path(__file__).resolve().parents[2]
CHUNK = 25
"""Schedules that a random program gets before it is another's turn."""

SCHEDULE_S = 30.0
"""A schedule takes milliseconds; one that takes so long is stuck where the explorer cannot see it."""

INSTRUMENTS = (
    "errors.py", "param.py", "kern/eventlog.py", "kern/lock.py", "kern/lockdebug.py", "kern/lockrank.py",
    "machine/threads.py", "uvm/audit.py", "uvm/boot.py", "uvm/physmem.py", "uvm/uvmexp.py",
)  # fmt: skip
"""What has no switch points: constants, errors, checks, and what runs before there are threads."""

GRAINS = ("locks", "lines", "instructions")


@dataclass(frozen=True)
class Outcome:
    """What came of an exploration.

    => `failure` says what went wrong and, in its last line, what runs it again; None if nothing did.
    => `exhausted`: there is no other schedule within the bound (strategy "dfs").
    """

    model: str
    schedules: int
    failure: str | None = None
    reproduce: str | None = None
    exhausted: bool = False
    elapsed_s: float = 0.0


def explore_programs(
    model: Model,
    iterations: int,
    seed: int,
    strategy: str = "pct",
    *,
    grain: str | None = None,
    patch: str | None = None,
) -> Outcome:
    """Explore the model's own programs, for half of the iterations, and random ones; stop at the first failure."""
    rng = random.Random(seed)
    own = [parsed(model, text) for text in model.programs]
    share = max(1, -(-iterations // 2 // len(own)))
    programs = itertools.chain(
        ((program, share) for program in own), ((model.random_program(rng), CHUNK) for _ in itertools.count())
    )
    done, elapsed_s = 0, 0.0
    while done < iterations:
        program, wanted = next(programs)
        wanted = min(wanted, iterations - done)
        outcome = explore_program(model, program, wanted, seed + done, strategy, grain=grain, patch=patch)
        done += outcome.schedules
        elapsed_s += outcome.elapsed_s
        if outcome.failure is not None:
            return Outcome(model.name, done, outcome.failure, outcome.reproduce, elapsed_s=elapsed_s)
    return Outcome(model.name, done, elapsed_s=elapsed_s)


def explore_program(
    model: Model,
    program: Program,
    iterations: int,
    seed: int,
    strategy: str = "pct",
    *,
    grain: str | None = None,
    patch: str | None = None,
) -> Outcome:
    """Explore one program; strategy "dfs" tries all schedules with two preemptions, up to `iterations`.

    => `patch`: "module:name" of a context manager that is entered around all schedules, and named in `reproduce`.
    """
    from tests.explore import strategies

    grain = grain or model.grain
    chosen = strategies.strategy(strategy, grain)
    result = _explored(model, program, grain, patch, iterations=iterations, seed=seed, strategy=chosen)
    if result.failure is None:
        return Outcome(model.name, result.schedules_run, exhausted=result.exhausted, elapsed_s=result.elapsed)
    line = _kept(model, program, grain, patch, result.failure.schedule)
    report = f"{model.name}, program {written(program)!r}\n{_shown(result.failure)}\nrun it again:\n{line}"
    return Outcome(model.name, result.schedules_run, report, line, elapsed_s=result.elapsed)


def replay(model: Model, program: Program, path: Path, patch: str | None = None) -> Outcome:
    """Run one schedule again from its file; `failure` is what went wrong again.

    => ValueError if the schedule is not one of this code on this Python.
    """
    from interleave_test import ReplayDivergence, Schedule

    from tests.explore import strategies

    kept = json.loads(path.read_text())
    schedule = Schedule.from_json(json.dumps(kept["schedule"]))
    if schedule.python != platform.python_version():
        raise ValueError(f"{path}: recorded on Python {schedule.python}; replay it there, this is another")
    strategy = strategies.replaying(schedule)
    result = _explored(model, program, kept["grain"], patch, iterations=1, strategy=strategy)
    failure = None
    if result.failure is not None:
        failure = _shown(result.failure)
        match result.failure.exception:
            case ReplayDivergence() as error:
                raise ValueError(f"{path}: the schedule does not fit this code on this Python: {error}")
    return Outcome(model.name, 1, failure, elapsed_s=result.elapsed)


@contextlib.contextmanager
def patched(name: str | None) -> Iterator[None]:
    """Enter the context manager of that name, "module:name"; None: nothing."""
    if name is None:
        yield
        return
    module, _, attribute = name.partition(":")
    with getattr(importlib.import_module(module), attribute)():
        yield


def _explored(model: Model, program: Program, grain: str, patch: str | None, **how: Any) -> Any:
    """Let the explorer run a program; return its own result."""
    import interleave_test

    def play() -> None:
        # What this thread does has no switch points, so that schedules differ by what the parts do.
        with interleave_test.no_interleave():
            scene = model.scene()
            try:
                scene.play(program, interleave_test.spawn)
                scene.check()
            finally:
                scene.drop()

    play.__name__ = model.name
    assert grain in GRAINS
    with patched(patch):
        return interleave_test.explore(
            play,
            granularity="opcode" if grain == "instructions" else "line",
            include=[str(ROOT / name) for name in (("no file",) if grain == "locks" else model.traced)],
            exclude=[str(ROOT / "uvmfree" / name) for name in INSTRUMENTS],
            timeout=SCHEDULE_S,
            raise_on_failure=False,
            **how,
        )


def _kept(model: Model, program: Program, grain: str, patch: str | None, schedule: Any) -> str:
    """Write a schedule to a file; return the line that replays it from the project's folder."""
    text = json.dumps({"grain": grain, "schedule": json.loads(schedule.to_json())})
    name = hashlib.sha256(f"{written(program)} {patch}".encode()).hexdigest()[:8]
    path = Path(tempfile.gettempdir()) / f"uvmfree-{model.name}-{name}.json"
    path.write_text(text)
    words = [sys.executable, "-m", "tests.explore.replay", model.name, written(program), str(path)]
    if patch is not None:
        words += ["--patch", patch]
    return f"PYTHONPATH=. {shlex.join(words)}"


def _shown(failure: Any) -> str:
    """Return what is worth reading of a failure: not how the explorer's own calls would repeat it."""
    return str(failure.format(max_steps=40)).split("\nreproduce exactly:")[0].rstrip()
