"""Stress in virtual time: what seeds find in the product, and in how many they find a seeded bug of concurrency.

    ./run python bench/seeds.py --seeds 1-10000        plays seeds of 20 ms, the designs in turn: nothing may be found
    ./run python bench/seeds.py --bugs                 hunts each seeded bug three ways: by seeds in virtual time, by
                                                       explored schedules (PCT; Python 3.12 or later), on threads
    ./run python bench/seeds.py                        plays seeds 1-400, and keeps nothing
    ./run python bench/seeds.py --write                writes both to docs/results/, and the table of docs/virtual.md

=> `--seeds` and `--bugs` keep what they measured in docs/results/seeds.json and docs/results/seed-bugs.json: command,
   date, host, interpreter. `--only TEXT` hunts the bugs of that name, and keeps what was measured of the others.
   Seeds that were broken off go on where they were, as long as the code is the same.
=> Seeds, and hunts, go to all processors.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from bench.grid.code import code_of
from bench.harness import Claim, Record, host, table, write, write_json
from tests.stress.hunt import NAMES, WAYS
from uvmfree.cli.running import first_signal_asks
from uvmfree.cli.stress import VIRTUAL_PAGES
from uvmfree.machine.virtual.strands import greenlets_work
from uvmfree.measure.decode import decode
from uvmfree.measure.executors import local
from uvmfree.measure.host import Host
from uvmfree.measure.host import host as host_facts
from uvmfree.stress.on_machine import Virtual
from uvmfree.stress.seeds import Seeds, parse_seeds, play_seeds
from uvmfree.stress.supervised import Options
from uvmfree.uvm.designs import REGISTRY, SHOWN

ROOT: Final = Path(__file__).resolve().parents[1]
RESULTS: Final = ROOT / "docs" / "results"
SEEDS_FILE, BUGS_FILE = RESULTS / "seeds.json", RESULTS / "seed-bugs.json"
DOC: Final = ROOT / "docs" / "virtual.md"
BEGIN, END = "<!-- bench/seeds.py -->", "<!-- end -->"

SECONDS: Final = 0.02
FIGURES: Final = ("runs", "steps", "injected", "virtual_s", "host_s", "last")
"""What is kept of seeds that were played."""

MOST: Final[Mapping[str, float]] = {"virtual": 20, "schedules": 3000, "threads": 10}
"""How many seeds, schedules and seconds a hunt has."""

TITLES: Final = {"virtual": "virtual time, seeds", "schedules": "PCT, schedules", "threads": "threads, s"}

HUNT_S: Final = 600
"""How long one hunt may take on the host."""

USUAL: Final = Options(seconds=SECONDS, npages=VIRTUAL_PAGES, machine=Virtual())
TINY: Final = Options(seconds=0.001, ncpus=1, npages=64, faults=(), machine=Virtual())
"""For a smoke run where strands are threads that pass a baton: it shows that the script works."""

FAILURES = Claim("seeds-failures", "failures that seeds found in the product", "seeds", 0)
PACE = Claim("seeds-virtual-s-per-s", "virtual seconds in a second of one process, 4 CPUs all at work", "s/s", None)


def main() -> int:
    """Do what was asked for; exit codes as of all scripts here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", metavar="FROM-TO", help="play these seeds")
    parser.add_argument("--all", action="store_true", help="with --seeds: every design in turn, not only those shown")
    parser.add_argument("--bugs", action="store_true", help="hunt the seeded bugs")
    parser.add_argument("--only", default="", metavar="TEXT", help="with --bugs: those of such a name")
    parser.add_argument("--missing", action="store_true", help="with --bugs: those that were not measured yet")
    parser.add_argument("--way", action="append", choices=WAYS, help="with --bugs: in this way; may be repeated")
    parser.add_argument("--most", type=int, default=MOST["virtual"], metavar="N", help="with --bugs: seeds for each")
    parser.add_argument("--write", action="store_true", help="write the tables")
    parser.add_argument("--smoke", action="store_true", help="four seeds, kept nowhere")
    parser.add_argument("--values", action="store_true", help="in FILE, the value of each repetition, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the claims' records to FILE")
    args = parser.parse_args()
    if args.json is not None and (args.json.is_dir() or not args.json.parent.is_dir()):
        parser.error(f"--json {args.json}: not a file in a folder that exists")
    print(host())
    records: list[Record] = []
    try:
        if args.seeds or not (args.bugs or args.write):
            few = "1-4" if args.smoke else "1-400"
            tiny = args.smoke and not greenlets_work()
            records = _seeds(args.seeds or few, TINY if tiny else USUAL, every=args.all, keep=args.seeds is not None)
            print(table(records))
        if args.bugs:
            _bugs(args.only, tuple(args.way or WAYS), {**MOST, "virtual": args.most}, missing=args.missing)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    if args.write:
        written()
    if args.json is not None:
        write(args.json, records, values=args.values)
    return int(any(record.holds is False for record in records))


def _seeds(text: str, options: Options, *, every: bool, keep: bool) -> list[Record]:
    """Play seeds over all processors; keep what came of them."""
    wanted = parse_seeds(text)
    designs = tuple(REGISTRY) if every else SHOWN
    what = {
        "designs": [*designs],
        "seconds": SECONDS,
        "machine": options.machine.described(),
        "code": [code_of("uvmfree.stress.seeds", design) for design in designs],
    }
    seen, before_s = _begun(wanted.start, what) if keep else (Seeds(), 0.0)
    left = wanted if seen.last is None else range(seen.last + 1, wanted.stop)
    began_s = perf_counter() - before_s
    at_most = len(os.sched_getaffinity(0))
    with first_signal_asks() as asked, local(at_most) as (executor, processes):
        for run in play_seeds(seen, left, options, designs, executor, processes, asked):
            if sys.stderr.isatty():
                print(f"\r\033[K{run.design}, seed {seen.last}", end="", file=sys.stderr, flush=True)
    if seen.failure is not None:
        print("\n".join(("", *seen.failure.errors, f"again: {seen.failure.command}")), file=sys.stderr)
    figures = {name: getattr(seen, name) for name in FIGURES}
    if seen.interrupted:
        print(f"interrupted after seed {seen.last}", file=sys.stderr)
    if keep and seen.runs:
        kept = (
            _about(f"--seeds {text}{' --all' * every}")
            | figures
            | {"wall_s": perf_counter() - began_s, "processes": processes}
        )
        failure = seen.failure.command if seen.failure else None
        _keep(SEEDS_FILE, kept | what | {"seeds": f"{wanted.start}-{seen.last}", "failure": failure})
    return [
        FAILURES.record([int(seen.failure is not None)], judged=seen.runs > 0),
        PACE.record([seen.virtual_s / seen.host_s if seen.host_s else 0.0], judged=False),
    ]


def _begun(first: int, what: Mapping[str, Any]) -> tuple[Seeds, float]:
    """Return what came of the seeds from the first on that were played by the same code, and how long that took."""
    kept = json.loads(SEEDS_FILE.read_text()) if SEEDS_FILE.exists() else {}
    same = all(kept.get(name) == value for name, value in what.items())
    if not same or kept["failure"] is not None or kept["seeds"].partition("-")[0] != str(first):
        return Seeds(), 0.0
    return Seeds(**{name: kept[name] for name in FIGURES}), kept["wall_s"]


def _bugs(only: str, ways: tuple[str, ...], most: Mapping[str, float], *, missing: bool) -> None:
    """Hunt bugs, each in a process of its own; keep each result as it comes."""
    kept = json.loads(BUGS_FILE.read_text()) if BUGS_FILE.exists() else {"bugs": {}}
    kept |= _about("--bugs") | {"seconds": SECONDS}
    hunts = [(name, way, most[way]) for name in NAMES if only in name for way in ways]
    if missing:
        hunts = [hunt for hunt in hunts if hunt[1] not in kept["bugs"].get(hunt[0], {})]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as executor:
        for (name, way, _), found in zip(hunts, executor.map(_hunted, hunts), strict=True):
            kept["bugs"].setdefault(name, {})[way] = found | {"most": most[way]}
            _keep(BUGS_FILE, kept)
            print(f"{name}, {way}: {found}", flush=True)


def _hunted(hunt: tuple[str, str, float]) -> dict[str, Any]:
    """Run one hunt."""
    name, way, most = hunt
    command = [sys.executable, "-m", "tests.stress.hunt", name, way, str(most)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=HUNT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return {"why": f"not over in {HUNT_S} s"}
    if done.returncode != 0:
        return {"why": (done.stderr.strip().splitlines() or ["ended"])[-1]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _about(what: str) -> dict[str, Any]:
    return {"command": f"./run python bench/seeds.py {what}", "host": asdict(host_facts())}


def _keep(file: Path, document: object) -> None:
    RESULTS.mkdir(exist_ok=True)
    write_json(file, document)


def written() -> None:
    """Write the tables from what was kept: to files of their own, and into the page."""
    parts = []
    for file, lines in ((SEEDS_FILE, _seed_lines), (BUGS_FILE, _bug_lines)):
        if file.exists():
            text = "\n".join(lines(json.loads(file.read_text()))) + "\n"
            file.with_suffix(".md").write_text(text)
            parts.append(text)
    before, _, rest = DOC.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOC.write_text(f"{before}{BEGIN}\n" + "\n".join(parts) + f"{END}{after}")


def _seed_lines(kept: Mapping[str, Any]) -> Iterator[str]:
    found = "found nothing" if kept["failure"] is None else f"found `{kept['failure']}`"
    yield (f"Seeds {kept['seeds']} {found}: {kept['runs']:,} runs of {kept['seconds']} s of kernel time on 4 CPUs,")
    yield f"{', '.join(kept['designs'])} in turn, all faults."
    yield ""
    yield "| operations | faults | virtual s | host s, all processes | virtual s a host s |"
    yield "|---|---|---|---|---|"
    yield (
        f"| {kept['steps']:,} | {kept['injected']:,} | {kept['virtual_s']:.1f} | {kept['host_s']:.0f} "
        f"| {kept['virtual_s'] / kept['host_s']:.4f} |"
    )
    yield ""
    yield from _source(kept)


def _bug_lines(kept: Mapping[str, Any]) -> Iterator[str]:
    bugs = kept["bugs"]
    counts = {way: sum("after" in found.get(way, {}) for found in bugs.values()) for way in WAYS}
    asked = {way: sum("found" in found.get(way, {}) for found in bugs.values()) for way in WAYS}
    yield "Seeded bugs found, of those that were hunted:"
    yield ", ".join(f"{counts[way]} of {asked[way]} ({title})" for way, title in TITLES.items() if asked[way]) + "."
    yield ""
    yield f"| seeded bug | {' | '.join(TITLES.values())} |"
    yield "|---|---|---|---|"
    for name, found in bugs.items():
        cells = " | ".join(_cell(found.get(way, {})) for way in WAYS)
        yield f"| {name.replace('_', ' ')} | {cells} |"
    yield ""
    yield from _source(kept)


def _cell(found: Mapping[str, Any]) -> str:
    if "after" in found:
        return f"{found['after']:g}"
    return found.get("why") or (f"not in {found['most']:g}" if "found" in found else "-")


def _source(kept: Mapping[str, Any]) -> Iterator[str]:
    here = decode(Host, kept["host"], "host")
    yield f"`{kept['command']}`, {here.date[:10]}; {len(here.affinity)} processors, {here.kernel};"
    yield f"{here.interpreter}."


if __name__ == "__main__":
    sys.exit(main())
