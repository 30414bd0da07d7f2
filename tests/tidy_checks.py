"""The house rules that a text can break, each as a function over source texts; tests/test_tidy.py runs them.

=> A checker takes the files as {path: text} and returns one line per finding, so that it runs on a seeded example
   and on the tree alike.
"""

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any

Files = dict[str, str]
Checker = Callable[[Files], list[str]]

FILE_LINES_MAX = 400

LAYERS = (
    "outfile",
    "param",
    "kern",
    "machine",
    "uvm",
    "workload",
    "measure",
    "analyse",
    "layouts",
    "stress",
    "report",
    "cli",
)  # each uses only what stands left
MAY_USE = {layer: {*LAYERS[:i], "errors"} - {layer} for i, layer in enumerate(LAYERS)}
MAY_USE |= {"errors": set(), "param": {"errors"}}
FACE = {"uvmfree", "uvmfree.__main__", "uvmfree.design"}

HEAVY = {"dask", "distributed", "numpy", "perfetto", "plotly", "rich", "scipy"}


def module_name(path: str) -> str:
    """Return `a.b` for a/b.py and for a/b/__init__.py."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


parse = cache(ast.parse)  # no checker changes a tree


@cache
def walk(tree: ast.AST) -> tuple[ast.AST, ...]:
    """Return all nodes of a tree; most checkers want them."""
    return tuple(ast.walk(tree))


def parsed(files: Files, *folders: str) -> Iterator[tuple[str, ast.Module]]:
    """Yield path and tree of every Python file under the folders."""
    for path, text in sorted(files.items()):
        if path.endswith(".py") and path.startswith(tuple(f"{folder}/" for folder in folders)):
            yield path, parse(text, path)


def is_typing_only(node: ast.AST) -> bool:
    """Whether the node is `if TYPE_CHECKING:`, whose body never runs."""
    return isinstance(node, ast.If) and last_name(node.test) == "TYPE_CHECKING"


def walk_run(node: ast.AST, skip: tuple[type[ast.AST], ...] = ()) -> Iterator[ast.AST]:
    """Walk what can run: not the bodies of `if TYPE_CHECKING:`, nor nodes of the kinds to skip."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not is_typing_only(child) and not isinstance(child, skip):
            yield from walk_run(child, skip)


def last_name(node: ast.AST) -> str:
    """Return `c` for `a.b.c` and for `c`; "" for what is no name."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def imported(path: str, nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """Yield line, module and names of every import among the nodes; relative ones are resolved."""
    package = path.split("/")[:-1]
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, ()
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield node.lineno, module, tuple(alias.name for alias in node.names)
        elif isinstance(node, ast.Call) and last_name(node.func) in ("import_module", "__import__"):
            match node.args:
                case [ast.Constant(value=str(module)), *_]:
                    yield node.lineno, module, ()


def targets(files: Files, path: str, nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """Yield line and module for every import: `from a import b` means a.b where that is a module, else a."""
    known = {module_name(name) for name in files}
    for line, module, names in imported(path, nodes):
        subs = [f"{module}.{name}" for name in names if f"{module}.{name}" in known]
        yield from ((line, sub) for sub in subs)
        if len(subs) < len(names) or not names:
            yield line, module


def layers(files: Files) -> list[str]:
    """Each layer imports only what stands to its left, and nobody inside imports the face."""
    found = []
    for path, tree in parsed(files, "uvmfree"):
        name = module_name(path)
        layer = [*name.split("."), ""][1]
        if name in FACE:
            continue
        if layer not in MAY_USE:
            found.append(f"{path}: {layer!r} is no layer")
            continue
        for line, target in targets(files, path, walk(tree)):
            if target in FACE:
                found.append(f"{path}:{line}: imports the face")
            elif target.startswith("uvmfree.") and target.split(".")[1] not in MAY_USE[layer] | {layer}:
                found.append(f"{path}:{line}: {layer} may not import {target}")
    return found


def cycles(files: Files) -> list[str]:
    """No module imports itself by way of others; imports that only a type checker follows do not run."""
    known = {module_name(path) for path, _ in parsed(files, "uvmfree")}
    graph = {
        module_name(path): {target for _, target in targets(files, path, walk_run(tree)) if target in known}
        for path, tree in parsed(files, "uvmfree")
    }
    while free := {name for name, uses in graph.items() if not uses & graph.keys()}:
        graph = {name: uses for name, uses in graph.items() if name not in free}
    # What is left stands on a circle, or leads into one: only the first kind is reachable from itself.
    found = []
    for name in sorted(graph):
        reached: set[str] = set()
        todo = graph[name] & graph.keys()
        while todo - reached:
            reached |= todo
            todo = {use for at in todo for use in graph[at] & graph.keys()}
        if name in reached:
            found.append(f"{name}: stands on a circle of imports")
    return found


def only_in(homes: tuple[str, ...], modules: set[str]) -> Checker:
    """Return the checker that nothing but `homes` imports these modules."""

    def check(files: Files) -> list[str]:
        return [
            f"{path}:{line}: imports {module}"
            for path, tree in parsed(files, "uvmfree")
            for line, module, _ in imported(path, walk(tree))
            if module.split(".")[0] in modules and path not in homes
        ]

    return check


def named_in(homes: tuple[str, ...], name: str) -> Checker:
    """Return the checker that no code but that of `homes` names this; tests may."""

    def check(files: Files) -> list[str]:
        return [
            f"{path}:{node.lineno}: names {name}"
            for path, tree in parsed(files, "uvmfree", "bench", "docs")
            for node in walk(tree)
            if path not in homes
            if isinstance(node, (ast.alias, ast.expr))
            and name == (node.name if isinstance(node, ast.alias) else last_name(node))
        ]

    return check


def lazy(files: Files) -> list[str]:
    """Heavy libraries are imported where they are used, so that a plain start stays quick."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    return [
        f"{path}:{line}: imports {module} at module level"
        for path, tree in parsed(files, "uvmfree")
        for line, module, _ in imported(path, walk_run(tree, functions))
        if module.split(".")[0] in HEAVY
    ]


def ranked(files: Files) -> list[str]:
    """Each `.mutex(` call takes its rank from kern/lockrank.py, or passes on a parameter typed LockRank."""
    found = []
    for path, tree in parsed(files, "uvmfree"):
        ranks = set()
        for _, module, names in imported(path, walk(tree)):
            ranks |= set(names) if module == "uvmfree.kern.lockrank" else {"lockrank"} & set(names)
        for node in walk(tree):
            if isinstance(node, ast.arg) and node.annotation and last_name(node.annotation) == "LockRank":
                ranks.add(node.arg)
        for node in walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "mutex":
                given = [*node.args[:1], *(word.value for word in node.keywords if word.arg == "rank")]
                root = ast.unparse(given[0]).split(".")[0] if given else ""
                if root not in ranks:
                    found.append(f"{path}:{node.lineno}: a mutex whose rank is not from kern/lockrank.py")
    return found


def short(files: Files) -> list[str]:
    """A file is a room that one can see through."""
    lines = {path: text.count("\n") for path, text in files.items() if path.endswith(".py")}
    return [f"{path}: {n} lines, over {FILE_LINES_MAX}" for path, n in lines.items() if n > FILE_LINES_MAX]


def sleepless(files: Files) -> list[str]:
    """Tests force an order; they do not hope for one."""
    found = []
    for path, tree in parsed(files, "tests"):
        names = {line for line, module, names in imported(path, walk(tree)) if module == "time" and "sleep" in names}
        calls = {
            node.lineno
            for node in walk(tree)
            if isinstance(node, ast.Attribute) and node.attr == "sleep" and last_name(node.value) == "time"
        }
        found += [f"{path}:{line}: sleeps" for line in sorted(names | calls)]
    return found


def narrow(files: Files) -> list[str]:
    """A broad except raises again, or says why it does not: `# noqa: BLE001 - the reason`."""
    found = []
    for path, tree in parsed(files, "uvmfree", "tests", "bench"):
        lines = files[path].splitlines()
        for node in walk(tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            broad = any(kind is None or ast.unparse(kind) in ("Exception", "BaseException") for kind in kinds)
            again = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
            if broad and not again and not re.search(r"# noqa: BLE001\W+\w{2,}", lines[node.lineno - 1]):
                found.append(f"{path}:{node.lineno}: a broad except without its reason")
    return found


def matching(pattern: str) -> Checker:
    """Return the checker that no line of any file matches the pattern."""

    def check(files: Files) -> list[str]:
        return [
            f"{path}:{number}: {match[0]!r}"
            for path, text in files.items()
            if re.search(pattern, text)  # most have nothing, which is soon known
            for number, line in enumerate(text.splitlines(), 1)
            if (match := re.search(pattern, line))
        ]

    return check


# One letter in brackets: these patterns do not match themselves.
UNFINISHED = r"\b(TO[D]O|FIXM[E]|X[X]X|NotImplemented[E]rror)\b"
PLACES = r"(?<![\w.~])/(home|work|root)\b"
HOSTS = r"\b(pypi|pythonhosted|debian|npmjs)\.(org|com)\b"


def untracked_lock(files: Files) -> list[str]:
    """A lock file names package hosts, so it stays out of the repository."""
    return [f"{path}: tracked" for path in files if path.endswith("uv.lock")]


def lock_table(document: str, ranks: Sequence[Any]) -> list[str]:
    """The table in docs/locking.md is the one in kern/lockrank.py: same rows, same order, same words."""
    rows = [line.strip() for line in document.splitlines() if re.match(r"\s*\| *\d", line)]
    wanted = [f"| {row.rank} | `{row.name}` | {row.guards} | {row.rule} |" for row in ranks]
    found = [f"missing: {row}" for row in wanted if row not in rows]
    found += [f"not in RANKS: {row}" for row in rows if row not in wanted]
    if not found and rows != wanted:
        found.append("the rows stand in another order")
    if [row.rank for row in ranks] != sorted({row.rank for row in ranks}):
        found.append("RANKS are not in ascending order")
    return found


def rules_named(files: Files) -> set[int]:
    """Return the numbers of all rules that the tests name, in the name or docstring of a function or class."""
    said = ""
    for _, tree in parsed(files, "tests"):
        for node in walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                said += f" {ast.get_docstring(node) or ''} {node.name.upper().replace('_', ' ')}"
    return {int(number) for number in re.findall(r"\bR(\d+)\b", said)}
