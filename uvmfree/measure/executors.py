"""Where the cells of a sweep are measured: in a process of this machine, or by the workers of a scheduler."""

import asyncio
import logging
import math
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Set
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from time import monotonic
from typing import Any, Final
from urllib.parse import urlsplit

from uvmfree.errors import ArgumentError, WorkerLostError
from uvmfree.measure.cell import TERMINAL, Worker
from uvmfree.measure.extras import needs

KILLED_S: Final = 5.0
"""How long an executor whose processes were killed has to notice that."""

LOOK_S: Final = 0.01
"""How often it is looked whether it has."""

REACH_S: Final = 4.0
"""How long a scheduler may take to answer."""


@contextmanager
def _deaf() -> Iterator[None]:
    """Have processes begin deaf to the terminal from their first instruction on; what comes waits for this one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Processes(ProcessPoolExecutor):
    """Begins a process when a call finds none idle: then, and not when the executor is made, it has to be deaf."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with _deaf():
            return super().submit(fn, *args, **kwargs)


@contextmanager
def local(processes: int = 1) -> Iterator[tuple[Executor, int]]:
    """Yield an executor of some processes, and their number: how many cells it can measure at once.

    => Processes of their own, begun anew: threads of this one, and what it has imported, do not disturb them. At the
       end a cell that is still being measured is given up; they are killed if an interrupt breaks that off, since
       nobody would tell them any more. They end with this process, however that ends.
    => The executor's thread is waited for by looking whether it is there. A join() that an interrupt breaks off takes
       the thread for ended (Python 3.11 and 3.12, Thread._wait_for_tstate_lock): it would then be stopped at the exit
       with the executor's lock in its hand, for which the exit waits.
    => WorkerLostError if the process is ended by somebody else.
    """
    context, others = multiprocessing.get_context("spawn"), set(multiprocessing.active_children())
    stop = context.RawValue("b", 0)  # no lock: who is killed would keep it. One writer, one byte; it is asked again
    with _deaf():  # the process that clears up behind multiprocessing, too, which the executor's queues start
        executor = _Processes(processes, mp_context=context, initializer=Worker.begin, initargs=(stop, os.getpid()))
    threads = set(threading.enumerate())
    executor.submit(os.getpid)
    threads = set(threading.enumerate()) - threads
    try:
        yield executor, processes
    except BrokenExecutor:
        raise WorkerLostError("the process that measured was killed, perhaps for want of memory") from None
    finally:
        stop.value = 1
        try:
            executor.shutdown(wait=False, cancel_futures=True)
            _gone(threads)
        except KeyboardInterrupt:
            with _deaf():
                for process in set(multiprocessing.active_children()) - others:
                    process.kill()
                _gone(threads, KILLED_S)
            raise


def _gone(threads: Set[threading.Thread], seconds: float = math.inf) -> None:
    """Wait until threads have ended, at most so long; an interrupt changes nothing but that it is raised."""
    until_s, pause = monotonic() + seconds, threading.Event()
    while not threads.isdisjoint(threading.enumerate()) and monotonic() < until_s:
        pause.wait(LOOK_S)


@contextmanager
def scheduled(address: str) -> Iterator[tuple[Executor, int]]:
    """Yield the executor of a dask scheduler, and on how many machines it has workers: so many cells go at once.

    => ArgumentError if it cannot be reached within REACH_S, is none, or has no workers; ExtraError without
       `distributed`; WorkerLostError if it, or a worker again and again, goes while cells are measured.
    """
    if find_spec("distributed") is not None:
        _knock(address)
    distributed: Any = needs("distributed", "cluster", "--scheduler")
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # a lost connection is said in a line, by us
    machines = {worker["host"] for worker in _identity(distributed, address)["workers"].values()}
    if not machines:
        raise ArgumentError(f"--scheduler {address}: has no workers")
    client = distributed.Client(address, timeout=REACH_S, set_as_default=False)
    try:
        yield client.get_executor(pure=False), len(machines)
    except (CancelledError, distributed.KilledWorker, distributed.comm.CommClosedError) as error:
        why = str(error).partition("\n")[0] or "it ended, or the way to it"
        raise WorkerLostError(f"--scheduler {address}: is lost: {why}") from None
    finally:
        client.close(timeout=REACH_S)


def _knock(address: str) -> None:
    """Refuse an address at which nobody listens at once: `distributed` is long to import, and tries for long."""
    try:
        there = urlsplit(address)
        if there.scheme not in ("tcp", "tls") or there.hostname is None or there.port is None:
            return  # of another kind, or none: for `distributed` to say
        socket.create_connection((there.hostname, there.port), timeout=REACH_S).close()
    except TimeoutError:
        raise _silent(address) from None
    except OSError as error:
        raise ArgumentError(f"--scheduler {address}: cannot be reached: {error.strerror}") from None
    except ValueError:
        return  # its port is no number: likewise


def _silent(address: str) -> ArgumentError:
    return ArgumentError(f"--scheduler {address}: does not answer within {REACH_S:.0f} s")


def _identity(distributed: Any, address: str) -> Any:
    """Ask who is there, before a Client does: that would wait for ever for an answer, and be long in giving up."""

    async def ask() -> Any:
        async with distributed.rpc(address) as scheduler:
            return await scheduler.identity()

    async def bounded() -> Any:
        return await asyncio.wait_for(ask(), REACH_S)

    try:
        found = asyncio.run(bounded())
    except TimeoutError:
        raise _silent(address) from None
    except Exception as error:  # noqa: BLE001 - whoever listens there may answer anything
        said = str(error).partition("\n")[0] or type(error).__name__
        why = "cannot be reached" if isinstance(error, OSError | ValueError) else "is no dask scheduler"
        raise ArgumentError(f"--scheduler {address}: {why}: {said}") from None
    if found["type"] != "Scheduler":
        raise ArgumentError(f"--scheduler {address}: is a dask {found['type']}; give the address of its scheduler")
    return found
