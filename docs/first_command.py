"""Put what the first command printed into README.md and the pages that show it.

=> ./run uvmfree bench > docs/results/first-command.txt, free-threaded, on an idle host; the curve, which is the same
   on each interpreter and has more rows where there is greenlet, from the same with UV_PYTHON=3.11 in
   first-command-gil.txt, and from there what it says of the GIL. Then python docs/first_command.py.
=> A part stands between `<!-- first command: PART -->` and `<!-- end -->`;
   a test says whether it is what the file has.
"""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PRINTED: Final = ROOT / "docs" / "results" / "first-command.txt"
WITH_GIL: Final = PRINTED.with_stem("first-command-gil")
PAGES: Final = tuple(ROOT / name for name in ("README.md", "docs/index.md", "docs/start.md"))

PLACE: Final = re.compile(r"(<!-- first command: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_LOCKS: Final = re.compile(r"\n(?=\w+, \d+ runs? with lockstat\n)")

FEW_ROWS: Final = 5
"""Of a curve, with its head."""

LABELS: Final = {
    "shared lock taken per op": "shared lock taken, per page operation",
    "wait share %": "waiting for page locks, % of the time",
    "pages parked out of reach, peak": "free pages out of some CPU's reach, at the peak",
}
"""The rows of the table that are shown as an answer, and what they are called there."""


def parts(printed: str, with_gil: str) -> dict[str, str]:
    """Return the parts of what was printed, each as it stands on a page; the curve from the run with the GIL."""
    above = printed.partition("\ncopies of ")[0]
    curve = with_gil.partition("\ncopies of ")[2]
    table, *locks = _LOCKS.split(above)
    curve = f"copies of {curve}".strip()
    return {
        "answer": _answer(table, curve),
        "picture": _text(_brief(curve)),
        "table": _text(table),
        "locks": _text("\n".join(locks)),
        "curve": _text(curve),
        "gil": _text(_beginning(with_gil, "Not measurable with the GIL")),
        "counts": _text(_LOCKS.split(with_gil.partition("\ncopies of ")[0])[0]),
    }


def _text(block: str) -> str:
    return f"```text\n{block.strip(chr(10))}\n```\n"


def _beginning(printed: str, words: str) -> str:
    """Return the paragraph that begins with some words, "" if there is none."""
    return next((each for each in printed.split("\n\n") if each.startswith(words)), "")


def _brief(curve: str) -> str:
    """Return the curve's head and its rows, every second up to the last if there are more than a few."""
    rows = curve.partition("\n\n")[2].partition("\n\n")[0].splitlines()
    return "\n".join(rows if len(rows) <= FEW_ROWS else [*rows[:2], *rows[:1:-2][::-1]])


def _answer(table: str, curve: str) -> str:
    """Return the few numbers that answer the question, a column for each design."""
    heads = next(line.split() for line in table.splitlines() if line.lstrip().startswith("fpageqlock  "))
    rows = {label: figures for line in table.splitlines() for label, *figures in [_cells(line)]}
    found = [[name, *rows[label]] for label, name in LABELS.items() if label in rows]
    last = curve.partition("\n\n")[2].partition("\n\n")[0].splitlines()[-1]
    ncpus, *work = re.findall(r"(?<![\d.])\d+(?:\.\d+)?(?! %)(?=\s)", last)
    found.append([f"work done by {ncpus} CPUs, in virtual time", *work])
    lines = [["a compiler's page traffic", *(f"`{head}`" for head in heads)], ["---"] + ["---:"] * len(heads), *found]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(line: str) -> list[str]:
    """Return a row's label and its medians, without ranges."""
    return re.split(r"\s{2,}", re.sub(r"\s*\[[^]]*\]", "", line).strip())


def filled(page: str, found: dict[str, str]) -> str:
    """Return a page with its parts as they were printed; KeyError if there is none of a name."""
    return PLACE.sub(lambda place: place[1] + found[place[2]] + place[3], page)


def main() -> None:
    """Write the pages."""
    found = parts(PRINTED.read_text(encoding="utf-8"), WITH_GIL.read_text(encoding="utf-8"))
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8"), found), encoding="utf-8")


if __name__ == "__main__":
    main()
