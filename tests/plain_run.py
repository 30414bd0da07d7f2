"""A pytest plugin: a plain run of the whole suite uses two processes, and does some cases of `sampled` tests.

=> `@pytest.mark.sampled(5, batons=2)` on a parametrised test: five of its cases; two where the strands of the virtual
   machine are threads that pass a baton, since those take many times as long.
=> A test that is made for every design is made for the first two, and for one more that is drawn for that test. Of
   these, `sampled` takes its cases.
=> The day (UTC) draws them, `--sample=WORD` draws as that word does, `--sample=all` takes all. The header names it.
=> `@pytest.mark.rotated(3)`, on a test or on a case: every third day. It is for what is slow and about processes, or
   for what says little beside the other cases of its test. `together=WORD`: all that are marked so on the same day.
=> From day to day all have their turn: a test is made for each design once in as many days as there are others, and
   30 cases of which 5 are done a day, and which are for no designs, are done in 6 days.
=> Hypothesis gives half of its examples, always the same ones.
=> What is asked for by name, by -k or by -m is done whole; `-m long` finds them all.
"""

import os
import random
import re
import zlib
from collections import defaultdict
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import settings

import uvmfree
from uvmfree.machine.virtual.strands import greenlets_work

ALL = "all"
OTHERS = list(uvmfree.DESIGNS)[2:]


def whole(config: pytest.Config) -> bool:
    """Whether the whole suite is asked for."""
    return config.args == config.getini("testpaths") and not config.option.keyword and not config.option.markexpr


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Use two processes for the whole suite: most tests leave one processor idle. What is named runs in this one.

    => Not more: tests of threads have threads of their own, as many as there are processors.
    """
    return min(2, len(os.sched_getaffinity(0))) if whole(config) else 0


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take `--sample`."""
    parser.addoption("--sample", metavar="WORD", help="what draws the sampled cases: a day, any word, or all")


def pytest_configure(config: pytest.Config) -> None:
    """Settle what draws; the processes of pytest-xdist are given it, so that all collect the same.

    => Where bytecode is not to be written beside the source it goes to pytest's cache: many tests start processes,
       and for each of them to compile what it imports takes five times as long as to import it.
    """
    config.addinivalue_line("markers", "rotated(days, together=word): a plain run does it one day in so many")
    if config.option.sample is None:
        config.option.sample = f"{datetime.now(UTC):%Y-%m-%d}" if whole(config) else ALL
    if config.option.sample != ALL and not config.getoption("--hypothesis-profile", None):
        settings.register_profile("half", settings(), max_examples=settings().max_examples // 2)
        settings.load_profile("half")
    if config.pluginmanager.hasplugin("cacheprovider") and os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        assert config.cache is not None
        os.environ.setdefault("PYTHONPYCACHEPREFIX", str(config.cache.mkdir("bytecode")))


def pytest_report_header(config: pytest.Config) -> str:
    """Say how to get the same cases again."""
    return f"sampled cases: --sample={config.option.sample}"


def turn(word: str, test: str) -> int:
    """Return a number of a test that a day makes one larger than the day before; any other word makes any."""
    try:
        return date.fromisoformat(word).toordinal() + zlib.crc32(test.encode())
    except ValueError:
        return zlib.crc32(f"{word} {test}".encode())


def others_named(item: Any) -> set[str]:
    """Return the designs that a case is for, but for the first two."""
    return set(re.split(r"[^\w]+", item.nodeid.partition("[")[2])) & set(OTHERS)


def drawn(cases: list[Any], count: int, word: str) -> list[Any]:
    """Return so many of the cases of one test: those whose turn it is, in an order that mixes them."""
    test, count = cases[0].nodeid.partition("[")[0], min(count, len(cases))
    if any(others_named(case) for case in cases):  # others each day; in step with those some would never come
        return random.Random(f"{word} {test}").sample(cases, count)
    mixed = random.Random(test).sample(cases, len(cases))
    first = turn(word, test) * count
    return [mixed[(first + number) % len(mixed)] for number in range(count)]


def asked(item: Any, word: str) -> bool:
    """Whether a case has its turn, and is for none of the designs, one of the first two, or the one that is drawn."""
    if item.get_closest_marker("whole") is not None:
        return True
    rotated = item.get_closest_marker("rotated")
    if rotated is not None and turn(word, rotated.kwargs.get("together", item.nodeid)) % rotated.args[0]:
        return False
    named = others_named(item)
    return not named or OTHERS[turn(word, item.nodeid.partition("[")[0]) % len(OTHERS)] in named


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not drawn."""
    tests: defaultdict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("rotated") is not None:
            item.add_marker(pytest.mark.long)
        if item.get_closest_marker("sampled") is not None:
            item.add_marker(pytest.mark.long)
            tests[item.nodeid.partition("[")[0]].append(item)
    if config.option.sample == ALL:
        return
    left_out = {item for item in items if not asked(item, config.option.sample)}
    for every in tests.values():
        if not (cases := [item for item in every if item not in left_out]):
            continue
        mark = cases[0].get_closest_marker("sampled")
        assert mark is not None
        (count,) = mark.args
        if not greenlets_work():
            count = mark.kwargs.get("batons", count)
        left_out |= set(cases) - set(drawn(cases, count, config.option.sample))
    if left_out:
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = [item for item in items if item not in left_out]
