"""The whole evidence: every script of bench/, one after the other, and one table of what they claim and found.

=> Each script runs in a process of its own, as a user would run it, alone on the machine as far as this one can tell,
   and at most SCRIPT_S seconds. A script that fails or takes longer is said to, and does not stop the others.
=> `--json FILE`: one document with the host's facts and, for each script, its records with the value of every
   repetition and what it printed. `--json` alone writes it to stdout, and the table to stderr.
=> `--write`: what docs/questions.md and docs/answer.md are made of. The document is docs/results/evidence-BUILD.json,
   BUILD 3.11, 3.13t and the like; the figures of virtual time go into files beside it, by one build only, since
   they are the same on all (VIRTUAL). The scripts come in the order of FIRST, most valuable first. A run that was
   broken off goes on where it was: a script is run again only if its code has changed; with `--only TEXT` all others
   stay as they are. At the end the pages are written (docs/answers.py). `--minutes N`: no script is begun later.
=> Exit code 1 if a claim does not hold or a script failed, 2 for a wrong argument, 130 on Ctrl-C: the script under
   way is dropped, what was measured before is kept and marked as interrupted.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from bench.grid.code import code_of
from bench.harness import Record, host, table, write_json
from docs import answers
from uvmfree.machine.virtual.strands import greenlets_work
from uvmfree.measure.host import host as host_facts
from uvmfree.uvm.designs import REGISTRY

SCHEMA: Final = "uvmfree.evidence"
VERSION: Final = 1

FOLDER: Final = Path(__file__).resolve().parent
RESULTS: Final = FOLDER.parent / "docs" / "results"

FIRST: Final = (
    "questions.py", "probes.py", "contention.py", "local_hit.py", "scaling.py", "pressure.py", "steps.py",
    "designs.py", "linux.py", "curve.py", "published.py", "tight.py", "depot.py", "depot_counts.py", "splice.py",
    "pglist.py", "floor.py", "native.py",
)  # fmt: skip
"""What the pages are made of, most valuable first; the others come after them, by name. Where strands are greenlets,
those that keep figures of virtual time come before all: the other build has those of threads."""

VIRTUAL: Final = {
    "steps.py": ("--keep",),
    "designs.py": ("--table",),
    "linux.py": ("--keep",),
    "curve.py": ("--curve",),
    "published.py": ("--keep",),
    "predict.py": (),
    "virtual_speed.py": (),
    "seeds.py": (),
    "numa.py": (),
    "tight.py": (),
    "llfree.py": (),
}
"""Scripts of virtual time, and what has them keep their figures: with `--write` run where strands are greenlets."""

NO_SCRIPTS: Final = frozenset({"all.py", "harness.py"})

SCRIPT_S: Final = 3600.0
"""Bound for one script: the longest take minutes on an idle host, and half an hour on one that is slow."""

SMOKE_S: Final = 120.0
END_S: Final = 15.0
"""How long a script may take to end once it was told to."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one script did. => `failure`: why it has no records, or `exit_code` is neither 0 nor 1; else None."""

    script: str
    seconds: float
    exit_code: int | None
    failure: str | None
    records: tuple[Record, ...]
    output: tuple[str, ...]
    code: str = ""


@dataclass(slots=True)
class Evidence:
    """What was found so far; grows script by script, so that an interrupted run keeps what it had."""

    smoke: bool
    load: tuple[float, float, float] = field(default_factory=os.getloadavg)
    facts: Any = field(default_factory=host_facts)
    outcomes: list[Outcome] = field(default_factory=list)
    interrupted: bool = False
    file: Path | None = None

    def go_on(self, asked: Collection[str]) -> None:
        """Take what the file has: of scripts that are asked for what is by the code of today, of others as it is."""
        found = json.loads(self.file.read_text()) if self.file is not None and self.file.exists() else {}
        for one in found.get("scripts", []):
            script = one["script"]
            if script not in asked or (one["failure"] is None and one["code"] == code_of_script(script)):
                records = tuple(map(_record, one.pop("records")))
                self.outcomes.append(Outcome(**one | {"records": records, "output": tuple(one["output"])}))

    def add(self, outcome: Outcome) -> None:
        """Keep what a script found, at once."""
        self.outcomes.append(outcome)
        if self.file is not None:
            write_json(self.file, self.document())

    @property
    def records(self) -> list[Record]:
        """The records of all scripts."""
        return [record for outcome in self.outcomes for record in outcome.records]

    @property
    def exit_code(self) -> int:
        """What this process is to end with."""
        if self.interrupted:
            return 130
        failed = any(outcome.failure is not None for outcome in self.outcomes)
        return int(failed or any(record.holds is False for record in self.records))

    def document(self) -> dict[str, Any]:
        """Return everything as one JSON document."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "host": asdict(self.facts) | {"load_at_begin": self.load},
            "smoke": self.smoke,
            "interrupted": self.interrupted,
            "scripts": [asdict(outcome) for outcome in self.outcomes],
        }

    def lines(self) -> Iterator[str]:
        """Yield the table, and a line for each script that failed."""
        yield table(self.records)
        for outcome in self.outcomes:
            if outcome.failure is not None:
                yield f"{outcome.script}: {outcome.failure}"
        if self.interrupted:
            yield f"interrupted after {len(self.outcomes)} scripts"


def scripts(folder: Path) -> list[Path]:
    """Return the scripts of a folder, by name."""
    return sorted(path for path in folder.glob("*.py") if path.name not in NO_SCRIPTS)


def in_order(folder: Path) -> list[Path]:
    """Return the scripts that this build is to run: those that keep figures of their own, FIRST, and the others."""
    found = [path for path in scripts(folder) if greenlets_work() or path.name not in VIRTUAL]
    places = {name: place for place, name in enumerate(FIRST)}
    return sorted(found, key=lambda path: (not VIRTUAL.get(path.name), places.get(path.name, len(FIRST))))


def code_of_script(name: str) -> str:
    """Return the mark of all that a script runs, whichever designs it plays."""
    module = f"bench.{name.removesuffix('.py')}"
    return hashlib.sha256("".join(code_of(module, design) for design in REGISTRY).encode()).hexdigest()[:12]


def build() -> str:
    """Return the interpreter as the document's name has it."""
    free_threaded = sysconfig.get_config_var("Py_GIL_DISABLED")
    return f"{sys.version_info[0]}.{sys.version_info[1]}{'t' if free_threaded else ''}"


def run_script(script: Path, *, smoke: bool, bound_s: float, more: Sequence[str] = ()) -> Outcome:
    """Run one script to its end, or to its bound; KeyboardInterrupt once it has ended, if Ctrl-C came."""
    began = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "records.json")
        command = [
            sys.executable,
            str(script),
            "--json",
            str(file),
            "--values",
            *more,
            *(["--smoke"] if smoke else []),
        ]
        exit_code, output = _ended(command, bound_s)
        if exit_code == 130:
            raise KeyboardInterrupt  # the terminal's Ctrl-C has reached the script first
        failure = None
        records: tuple[Record, ...] = ()
        if exit_code is None:
            failure = f"took over {bound_s:.0f} s and was ended"
        elif exit_code not in (0, 1):
            failure = f"ended with exit code {exit_code}: {output[-1] if output else 'it said nothing'}"
        else:
            try:
                records = tuple(_record(one) for one in json.loads(file.read_text()))
            except (OSError, ValueError, TypeError):
                failure = f"wrote no records: {output[-1] if output else 'it said nothing'}"
    return Outcome(script.name, perf_counter() - began, exit_code, failure, records, tuple(output))


def _ended(command: list[str], bound_s: float) -> tuple[int | None, list[str]]:
    """Run a process; return its exit code, None if it took too long, and the lines that it printed."""
    # The root of the project is where the scripts import from, whoever runs them.
    paths = [str(FOLDER.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    process = subprocess.Popen(
        command,
        cwd=FOLDER.parent,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        said, _ = process.communicate(timeout=bound_s)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
        return None, said.splitlines()
    except KeyboardInterrupt:
        process.terminate()
        try:
            process.wait(END_S)
        finally:
            process.kill()  # does nothing where it has ended
        raise
    return process.returncode, said.splitlines()


def _record(fields: dict[str, Any]) -> Record:
    return Record(**fields | {"values": tuple(fields["values"])})


def run_all(evidence: Evidence, todo: Iterable[Path], bound_s: float, minutes: float) -> None:
    """Run scripts one after the other, adding to the evidence; Ctrl-C ends it early, and so does the time."""
    done = {outcome.script for outcome in evidence.outcomes}
    listed = [script for script in todo if script.name not in done]
    keeps = evidence.file is not None
    began_s = perf_counter()
    try:
        for number, script in enumerate(listed, 1):
            if perf_counter() - began_s > 60 * minutes:
                evidence.interrupted = True
                return
            print(f"{number} of {len(listed)}: {script.name} ...", end="", file=sys.stderr, flush=True)
            more = VIRTUAL.get(script.name, ()) if keeps else ()
            outcome = run_script(script, smoke=evidence.smoke, bound_s=bound_s, more=more)
            evidence.add(replace(outcome, code=code_of_script(script.name)) if keeps else outcome)
            print(f" {outcome.seconds:.0f} s, {_verdict(outcome)}", file=sys.stderr)
    except KeyboardInterrupt:
        print(" interrupted", file=sys.stderr)
        evidence.interrupted = True


def _verdict(outcome: Outcome) -> str:
    if outcome.failure is not None:
        return outcome.failure
    broken = [record.id for record in outcome.records if record.holds is False]
    return f"does not hold: {', '.join(broken)}" if broken else "done"


def main(args: Sequence[str], folder: Path = FOLDER, bound_s: float | None = None, results: Path = RESULTS) -> int:
    """Read the arguments, run the scripts of a folder, print and write what they found; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a run of seconds for each script that judges no timing")
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="write one document to FILE; without FILE to stdout"
    )
    parser.add_argument("--write", action="store_true", help="what the docs are made of; goes on where it was")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no script later than that")
    parser.add_argument("--only", default="", metavar="TEXT", help="scripts with such a name")
    given = parser.parse_args(args)
    file = None if given.json in (None, "-") else Path(given.json)
    if file is not None and (file.is_dir() or not os.access(file.parent, os.W_OK)):
        parser.error(f"--json {file}: not a file in a folder that can be written to")
    table_to = sys.stderr if given.json == "-" else sys.stdout
    print(host(), file=table_to)
    evidence = Evidence(given.smoke)
    todo = scripts(folder)
    if given.write:
        evidence.file, todo = results / f"evidence-{build()}.json", in_order(folder)
    todo = [script for script in todo if given.only in script.name]
    evidence.go_on({script.name for script in todo})
    run_all(evidence, todo, bound_s or (SMOKE_S if given.smoke else SCRIPT_S), given.minutes)
    if given.write and results == RESULTS:
        answers.main()
    for line in evidence.lines():
        print(line, file=table_to)
    if file is not None:
        write_json(file, evidence.document())
    elif given.json == "-":
        print(json.dumps(evidence.document(), indent=2))
    return evidence.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
