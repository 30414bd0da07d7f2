"""What is said where there is no dask scheduler, and of one that is lost; with a stand-in for dask."""

import socket
import sys
from collections.abc import Iterator
from concurrent.futures import CancelledError
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from uvmfree.errors import ArgumentError, WorkerLostError
from uvmfree.measure import executors
from uvmfree.measure.executors import scheduled

HERE = "inproc://here"
SCHEDULER = {"type": "Scheduler", "workers": {"one": {"host": "a"}}}


class Lost(Exception):
    """Stands for what `distributed` raises when something has gone."""


class Stand:
    """Stands in for `distributed`; its scheduler answers with `answer`, or raises that. `closed`: how."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.closed, self.asked = answer, list[float](), list[str]()

    def rpc(self, address: str) -> "Stand":
        self.asked.append(address)
        return self

    async def __aenter__(self) -> "Stand":
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    async def identity(self) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    one = Stand(SCHEDULER)
    module: Any = ModuleType("distributed")
    module.__spec__ = ModuleSpec("distributed", None)
    module.rpc = one.rpc
    client = SimpleNamespace(get_executor=lambda pure: "executor", close=lambda timeout: one.closed.append(timeout))
    module.Client = lambda *args, **how: client
    module.KilledWorker, module.comm = Lost, SimpleNamespace(CommClosedError=Lost)
    monkeypatch.setitem(sys.modules, "distributed", module)
    return one


@pytest.fixture
def port() -> Iterator[int]:
    """A port of this machine at which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (TimeoutError(), "does not answer within 4 s"),
        (OSError("no way\nthere"), "cannot be reached: no way"),
        (ValueError("no address"), "cannot be reached: no address"),
        (RuntimeError("what?"), "is no dask scheduler: what?"),
        (RuntimeError(), "is no dask scheduler: RuntimeError"),
        ({"type": "Worker"}, "is a dask Worker; give the address of its scheduler"),
        ({"type": "Nanny"}, "is a dask Nanny; give the address of its scheduler"),
        ({"type": "Scheduler", "workers": {}}, "has no workers"),
    ],
)
def test_what_answers_and_is_no_scheduler_is_told(stand: Stand, answer: Any, why: str) -> None:
    stand.answer = answer
    with pytest.raises(ArgumentError) as error, scheduled(HERE):
        pass
    assert str(error.value) == f"--scheduler {HERE}: {why}"
    assert stand.closed == []


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (Lost("worker died\nthrice"), "worker died"),
        (Lost(), "it ended, or the way to it"),
        (CancelledError(), "it ended, or the way to it"),
    ],
)
def test_one_that_goes_while_cells_are_measured_is_told_and_closed(stand: Stand, error: Exception, why: str) -> None:
    with pytest.raises(WorkerLostError) as told, scheduled(HERE):
        raise error
    assert str(told.value) == f"--scheduler {HERE}: is lost: {why}"
    assert stand.closed == [executors.REACH_S]


def test_what_the_work_raises_itself_is_left_alone_and_the_client_is_closed(stand: Stand) -> None:
    with pytest.raises(ZeroDivisionError), scheduled(HERE):
        raise ZeroDivisionError
    assert stand.closed == [executors.REACH_S]


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_where_nobody_listens_dask_is_not_asked(stand: Stand, port: int, kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        gone = server.getsockname()[1]
    address = f"{kind}://127.0.0.1:{gone}"
    with pytest.raises(ArgumentError) as error, scheduled(address):
        pass
    assert str(error.value) == f"--scheduler {address}: cannot be reached: Connection refused"
    assert stand.asked == []
    with scheduled(f"{kind}://127.0.0.1:{port}"):
        assert stand.asked == [f"{kind}://127.0.0.1:{port}"]


@pytest.mark.parametrize("address", ["here", "tcp://127.0.0.1:port", "tcp://127.0.0.1", "udp://127.0.0.1:1"])
def test_what_is_no_address_of_a_port_is_for_dask_to_refuse(stand: Stand, address: str) -> None:
    with scheduled(address):
        assert stand.asked == [address]


def test_one_that_does_not_take_the_call_is_silent(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(there: tuple[str, int], timeout: float) -> socket.socket:
        assert (there, timeout) == (("far", 8786), executors.REACH_S)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", slow)
    with pytest.raises(ArgumentError, match=r"^--scheduler tcp://far:8786: does not answer within 4 s$"):
        scheduled("tcp://far:8786").__enter__()
