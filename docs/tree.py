"""Write the map of the package into docs/tree.md: `./run python docs/tree.py`.

=> A line a file: the first line of its docstring. tests/test_docs.py fails where the page says anything else.
"""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/tree.md"
LAYERS = (
    "uvmfree",
    "uvmfree/machine",
    "uvmfree/kern",
    "uvmfree/uvm",
    "uvmfree/workload",
    "uvmfree/measure",
    "uvmfree/record",
    "uvmfree/analyse",
    "uvmfree/layouts",
    "uvmfree/stress",
    "uvmfree/report",
    "uvmfree/cli",
)
"""The folders as they stand upon each other, lowest first; what is in none of them comes last."""
HEAD = """\
# A line a file

The package, lowest layer first: each uses only what stands above it on this page. The
lines are the first ones of the files. `./run python docs/tree.py` writes this page.
"""


def first_line(path: Path) -> str:
    """Return the first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text())) or "(no docstring)").partition("\n")[0]


def height(folder: str) -> tuple[int, str]:
    """Return where a folder stands: its layer's place, then its name."""
    places = [i for i, layer in enumerate(LAYERS) if folder == layer or (i and folder.startswith(f"{layer}/"))]
    return (places[0] if places else len(LAYERS), folder)


def page(package: Path) -> str:
    """Return the page on a package: a table for each folder, what the folder is above it."""
    folders: dict[str, list[Path]] = {}
    for path in sorted(package.rglob("*.py")):
        folders.setdefault(path.parent.relative_to(package.parent).as_posix(), []).append(path)
    said = HEAD
    for folder in sorted(folders, key=height):
        said += f"\n## {folder}/\n\n"
        about = {path.name: first_line(path) for path in folders[folder]}
        if "__init__.py" in about:
            said += about.pop("__init__.py") + "\n\n"
        if about:
            said += "| file | what it is |\n|---|---|\n"
            said += "".join(f"| `{name}` | {line.replace('|', '&#124;')} |\n" for name, line in about.items())
    return said


if __name__ == "__main__":
    PAGE.write_text(page(ROOT / "uvmfree"))
    print(f"wrote {PAGE.relative_to(ROOT)}", file=sys.stderr)
