"""The picture of a design's lists and locks, drawn from a few lines of text (docs/designs/index.md has one).

=> A level is `each CPU` or `all CPUs`, with `under LOCK, KIND` if a lock guards it, and ends in a colon. Below it,
   indented, stands what it consists of, a `name: what it is` a line. A name in parentheses is that of no list of
   pages. Levels that follow each other and have the same lock stand in one frame.
=> `down: ...` and `up: ...` say what moves between the level above and the one below.
=> KIND is that of the lock's declaration: cpu, off, shared or other.
=> The picture is text in boxes: it takes the colours of the page, and fits a telephone.
"""

import re
from dataclasses import dataclass, field
from html import escape

KINDS = {
    "cpu": "a CPU's own lock",
    "off": "interrupts off",
    "shared": "shared lock",
    "other": "other lock",
}
LEVEL = re.compile(r"(each CPU|all CPUs)(?: under (.+), (\w+))?:")
ARROWS = {"down": "↓", "up": "↑"}
NCPUS = 3


@dataclass
class Level:
    """Lists that stand side by side, and the arrows that lead to the next level."""

    per_cpu: bool
    lock: tuple[str, str] | None
    boxes: list[tuple[str, str]] = field(default_factory=list)
    arrows: list[tuple[str, str]] = field(default_factory=list)


def parse(lines: list[str]) -> list[Level]:
    """Read a picture's description; ValueError names the line that is none."""
    levels: list[Level] = []
    for line in lines:
        head, _, rest = (part.strip() for part in line.partition(":"))
        if not line.strip():
            continue
        if line.startswith(" ") and levels and rest:
            levels[-1].boxes.append((head, rest))
        elif head in ARROWS and levels and rest:
            levels[-1].arrows.append((head, rest))
        elif match := LEVEL.fullmatch(line.strip()):
            who, lock, kind = match.groups()
            if lock and kind not in KINDS:
                raise ValueError(f"{kind!r} is no kind of lock: {', '.join(KINDS)}")
            levels.append(Level(who == "each CPU", (lock, kind) if lock else None))
        else:
            raise ValueError(f"neither a level, nor what stands in one, nor an arrow: {line!r}")
    return levels


def inline(text: str) -> str:
    """Return text as HTML, with code in backquotes marked."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def tag(lock: tuple[str, str], cpu: int) -> str:
    """Return the name of a lock, as it stands on its frame; that of a CPU has the CPU's number.

    => What is off says so itself: `preemption off` is not labelled `interrupts off`.
    """
    name, kind = lock[0].replace("[i]", f"[{cpu}]"), lock[1]
    label = "" if name.endswith(" off") else f" <span>{KINDS[kind]}</span>"
    return f'<div class="lock"><code>{escape(name)}</code>{label}</div>'


def frame(lock: tuple[str, str] | None, inside: str, cpu: int | None = None) -> str:
    """Return what a lock guards, in a frame with its name."""
    kind = lock[1] if lock else "none"
    head = f'<div class="who">CPU {cpu}</div>' if cpu is not None else ""
    return f'<div class="frame {kind}">{head}{tag(lock, cpu or 0) if lock else ""}{inside}</div>'


def box(name: str, what: str = "") -> str:
    """Return one of the things that a level consists of: a list, with a row of pages, or something else."""
    bare = name.removeprefix("(").removesuffix(")")
    return f'<div class="{"stack" if bare == name else "datum"}"><b>{inline(bare)}</b>{what}</div>'


def columns(level: Level, lock: tuple[str, str] | None) -> str:
    """Return a level: once, or once for each CPU, of which the first says what it consists of."""
    said = "".join(box(name, f": {inline(what)}") for name, what in level.boxes)
    if not level.per_cpu:
        return frame(lock, said)
    again = "".join(box(name) for name, _ in level.boxes)
    boxes = [frame(lock, again if cpu else said, cpu) for cpu in range(NCPUS)]
    return f'<div class="cpus">{"".join(boxes)}</div>'


def drawn(levels: list[Level]) -> str:
    """Return the picture."""
    said = '<div class="lists">'
    while levels:
        lock = levels[0].lock
        same = next((i for i, one in enumerate(levels) if one.lock != lock), len(levels)) if lock else 1
        together, levels = levels[:same], levels[same:]
        rows = "".join(columns(one, None if same > 1 else lock) + arrows(one) for one in together)
        said += frame(lock, rows) if same > 1 else rows
    return said + "</div>"


def arrows(level: Level) -> str:
    """Return what moves between a level and the next one."""
    lines = (f"<div><b>{ARROWS[way]}</b> {inline(text)}</div>" for way, text in level.arrows)
    said = "".join(lines)
    return f'<div class="arrows">{said}</div>' if said else ""
