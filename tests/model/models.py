"""The model of each design, by name."""

from tests.model.depot import DepotModel
from tests.model.designs import FpageqlockModel, PercpuModel
from tests.model.linux import LinuxModel
from tests.model.llfree import LlfreeModel
from tests.model.model import Model

MODELS: dict[str, type[Model]] = {
    "fpageqlock": FpageqlockModel,
    "percpu": PercpuModel,
    "linux_pcp": LinuxModel,
    "llfree": LlfreeModel,
    "depot": DepotModel,
}
