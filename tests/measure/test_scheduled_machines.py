"""How many cells a scheduler measures at once: one on each machine, however many workers that has."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from uvmfree.errors import ArgumentError
from uvmfree.measure.executors import scheduled


def with_workers(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Stand in for `distributed`, with a scheduler of workers on these hosts, each worker with a name of its own."""

    class Rpc:
        def __init__(self, address: str) -> None:
            assert address == "inproc://here"

        async def __aenter__(self) -> "Rpc":
            return self

        async def __aexit__(self, *error: object) -> None:
            pass

        async def identity(self) -> dict[str, Any]:
            workers = {f"tcp://{at}": {"host": host, "name": at, "id": at} for at, host in enumerate(hosts)}
            return {"type": "Scheduler", "workers": workers}

    client = SimpleNamespace(get_executor=lambda pure: f"executor, pure: {pure}", close=lambda timeout: None)
    module: Any = ModuleType("distributed")
    module.__spec__ = ModuleSpec("distributed", None)
    module.rpc, module.Client = Rpc, lambda *args, **how: client
    module.KilledWorker, module.comm = OSError, SimpleNamespace(CommClosedError=OSError)
    monkeypatch.setitem(sys.modules, "distributed", module)


@pytest.mark.parametrize(("hosts", "machines"), [(("a",), 1), (("a", "a"), 1), (("a", "b", "a"), 2)])
def test_so_many_as_there_are_machines(
    monkeypatch: pytest.MonkeyPatch, hosts: tuple[str, ...], machines: int
) -> None:
    with_workers(monkeypatch, *hosts)
    with scheduled("inproc://here") as (executor, at_once):
        assert (executor, at_once) == ("executor, pure: False", machines)


def test_one_without_workers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with_workers(monkeypatch)
    with (
        pytest.raises(ArgumentError, match=r"^--scheduler inproc://here: has no workers$"),
        scheduled("inproc://here"),
    ):
        pass
