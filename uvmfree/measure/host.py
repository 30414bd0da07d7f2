"""Facts about the host and the interpreter, kept with every figure that was measured there."""

import os
import platform
import sys
import sysconfig
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata


@dataclass(frozen=True, slots=True)
class Host:
    """Where and when something was measured.

    => `gil`: whether the interpreter runs one thread at a time. `switch_interval_s`: how long a thread may keep it.
    => `cpus`: processors of the host. `affinity`: those that this process may use.
    """

    date: str
    python: str
    implementation: str
    gil: bool
    free_threaded_build: bool
    switch_interval_s: float
    cpus: int
    affinity: tuple[int, ...]
    cpu_model: str
    kernel: str
    uvmfree: str
    atomics: str

    @property
    def interpreter(self) -> str:
        """The interpreter in a few words."""
        return f"{self.implementation} {self.python}, " + ("with the GIL" if self.gil else "free-threaded")


def gil_enabled() -> bool:
    """Return whether threads take turns; on a free-threaded build an import may have switched the GIL on."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def host() -> Host:
    """Look up the facts of this host and interpreter, now."""
    return Host(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        python=platform.python_version(),
        implementation=platform.python_implementation(),
        gil=gil_enabled(),
        free_threaded_build=bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        switch_interval_s=sys.getswitchinterval(),
        cpus=os.cpu_count() or 1,
        affinity=tuple(sorted(os.sched_getaffinity(0))),
        cpu_model=_cpu_model(),
        kernel=f"{platform.system()} {platform.release()}",
        uvmfree=metadata.version("uvmfree"),
        atomics=metadata.version("atomics"),
    )


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    except OSError:
        return "unknown"
