"""Lines of perf script made up for tests, and what every trace read from them must hold."""

import gzip
import lzma
from pathlib import Path

from uvmfree.workload.trace import ALLOC, FREE, Trace, read_trace

PACKED = {"plain": bytes, "gzip": gzip.compress, "xz": lzma.compress}
FIELDS = " migratetype=0 gfp_flags=GFP_KERNEL"
ONE = f"cc1 7 [000] 1.000000: kmem:mm_page_alloc: page=0x10 pfn=0x10 order=0{FIELDS}\n"


def line(
    event: str,
    pfn: object,
    *,
    who: str = "cc1 7",
    cpu: int = 0,
    us: int = 0,
    order: int = 0,
    flags: str = "GFP_KERNEL",
) -> str:
    fields = f"page={pfn} pfn={pfn} order={order}" + (f" migratetype=0 gfp_flags={flags}" if event == "alloc" else "")
    time = f"{us // 10**6}.{us % 10**6:06}"
    return f"{who:>24} [{cpu:03}] {time:>12}: {'kmem:mm_page_' + event:>28}: {fields}\n"


def read(tmp_path: Path, text: str | bytes, name: str = "t.perf") -> Trace:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_trace(path)


def check_shape(trace: Trace) -> None:
    """Assert what the columns promise: free after alloc, once, same order; time and serial numbers rise."""
    counts = trace.counts
    columns = (trace.kind, trace.cpu, trace.task, trace.time_ns, trace.alloc, trace.order, trace.zero)
    assert {len(column) for column in columns} == {counts.allocs + counts.frees}
    assert [column.typecode for column in columns] == list("BHIqIBB")
    assert list(trace.time_ns) == sorted(trace.time_ns)
    assert max(trace.cpu) + 1 == trace.ncpus
    assert set(trace.task) == set(range(len(trace.tasks)))
    assert len(set(trace.tasks)) == len(trace.tasks)
    assert counts.allocs == counts.frees + counts.live_end + counts.allocs_again
    cpu_of: list[int] = []
    order_of: list[int] = []
    freed: set[int] = set()
    other_cpu = 0
    for kind, cpu, serial, order, zero in zip(
        trace.kind, trace.cpu, trace.alloc, trace.order, trace.zero, strict=True
    ):
        if kind == ALLOC:
            assert serial == len(cpu_of)
            cpu_of.append(cpu)
            order_of.append(order)
        else:
            assert kind == FREE
            assert serial < len(cpu_of)
            assert serial not in freed
            assert order == order_of[serial]
            assert not zero
            freed.add(serial)
            other_cpu += cpu != cpu_of[serial]
    assert len(cpu_of) == counts.allocs
    assert len(freed) == counts.frees
    assert other_cpu == counts.frees_other_cpu
    assert sum(map(bool, order_of)) == counts.allocs_high_order
    assert sum(bool(order_of[serial]) for serial in freed) == counts.frees_high_order
    assert sum(trace.zero) == counts.allocs_zero
