"""Write the answer, what others published, questions, findings, the page of the depot, parts of other pages.

    ./run python docs/answers.py

=> A page is a template, PAGE.md.in, whose words are typed; every number in it comes from a record in docs/results.
   What stands in {{ }} is a method of docs/_figures.py and its arguments. tests/docs/test_answers.py fails where a
   page says anything else than its template and the records give.
=> docs/virtual.md has what bench/native.py and predict.py printed between marks, the page of a design its results,
   the page of all designs what real threads make of them.
=> What no record has yet is written as "(not measured)".
"""

from __future__ import annotations

import re
import shlex
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from docs._figures import Figures  # noqa: E402
from docs._printed import MISSING, NotMeasured  # noqa: E402

PAGES: Final = ("answer.md", "published.md", "questions.md", "findings.md", "designs/depot.md")
VIRTUAL: Final = ROOT / "docs" / "virtual.md"
DESIGNS: Final = ROOT / "docs" / "designs"
INDEX: Final = DESIGNS / "index.md"
PRINTED: Final = {name: f"<!-- bench/{name} -->\n" for name in ("native.py", "predict.py")}
"""Scripts whose whole output stands in docs/virtual.md, and the mark before it."""
RESULTS, END = "<!-- docs/answers.py -->\n", "<!-- end -->"
RESULT: Final = """\
256 CPUs that play copies of `cc-j4` do the work of {{curve NAME cc-j4 ttas 256 work .0f}} that never wait
([the curve](index.md#cc-j4-ttas)). [The tables](index.md#side-by-side) have the locks, the pages parked and what an
exit strands, beside those of the other designs."""
"""What the page of a design says of its results."""
REAL: Final = "<!-- bench/pairs.py, bench/scaling.py -->\n"
"""Before what the page of all designs says of real threads."""
ON_THREADS = """\
On 3.13t a local pair takes {{measured pair-percpu .2f 3.13t}} times the floor's with `percpu`, and
{{measured pair-llfree .2f 3.13t}} times with `llfree`, which swaps words where others take a lock; two processors do
{{measured scaling-percpu .2f 3.13t}} times the work of one with `percpu`, and
{{measured scaling-fpageqlock .2f 3.13t}} times with today's lock.

{{on_threads}}

A pair is `pagealloc` and `pagefree` of one page, on a CPU with a full cache. The floor's are two methods of
`with lock` around a list: {{measured pair-floor-ns ,.0f 3.11}} ns on 3.11,
{{measured pair-floor-ns ,.0f 3.13t}} ns on 3.13t. The last column is of 3.13t: page operations a second of two CPUs
in bursts of local pages, over those of one, the median and the extremes. Threads that share nothing show what the
host gives: where the brackets are wide others used it, too, and medians that are as near as that are alike. What a
pair costs is mostly Python's: [virtual time](#cc-j4-ttas) says how designs compare on a kernel's costs.

`./run python bench/pairs.py`, `./run python bench/scaling.py`; {{when}}."""
COLUMNS: Final = 88
PLACE: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


def page(template: str, figures: Figures) -> str:
    """Return what a template and the records give."""
    text = PLACE.sub(lambda match: _figure(match[1], figures), template)
    return "\n\n".join(map(_wrapped, text.strip().split("\n\n"))) + "\n"


def _figure(said: str, figures: Figures) -> str:
    name, *arguments = shlex.split(said)
    try:
        return str(getattr(figures, name)(*arguments))
    except NotMeasured:
        return MISSING


def _wrapped(block: str) -> str:
    """Fill the lines of a paragraph or a list; tables, headings, code and quotes stay as they are."""
    if block.startswith(("|", "#", "    ", "```", "<", "!", ">")):
        return block
    return "\n".join(_filled(block))


def _filled(block: str) -> Iterator[str]:
    """Fill each item of a list, or the one paragraph."""
    items = re.split(r"\n(?=- |\d+\. )", block)
    for item in items:
        mark = re.match(r"- |\d+\. ", item)
        later = " " * len(mark[0]) if mark else ""
        yield textwrap.fill(
            " ".join(item.split()), COLUMNS, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
        )


def with_outputs(text: str, figures: Figures) -> str:
    """Return the text of docs/virtual.md with what scripts printed."""
    for script, begin in PRINTED.items():
        try:
            said = figures.whole_output(script)
        except NotMeasured:
            said = f"{MISSING}\n"
        text = _between(begin, f"\n{said}", text)
    return text


def with_results(text: str, design: str, figures: Figures) -> str:
    """Return the text of a design's page with its results, if it has a place for them."""
    return _between(RESULTS, page(RESULT.replace("NAME", design), figures), text) if RESULTS in text else text


def with_threads(text: str, figures: Figures) -> str:
    """Return the text of docs/designs/index.md with what real threads make of the designs."""
    return _between(REAL, f"\n{page(ON_THREADS, figures)}", text)


def _between(begin: str, said: str, text: str) -> str:
    before, _, rest = text.partition(begin)
    return f"{before}{begin}{said}{END}{rest.partition(END)[2]}"


def main() -> None:
    """Write all pages."""
    figures = Figures(ROOT / "docs" / "results")
    VIRTUAL.write_text(with_outputs(VIRTUAL.read_text(), figures))
    for file in DESIGNS.glob("*.md"):
        file.write_text(with_results(file.read_text(), file.stem, figures))
    INDEX.write_text(with_threads(INDEX.read_text(), figures))
    for name in PAGES:
        (ROOT / "docs" / name).write_text(page((ROOT / "docs" / f"{name}.in").read_text(), figures))


if __name__ == "__main__":
    main()
