"""Each design's model, by the design's name."""

from tests.model.depot import DepotModel
from tests.model.designs import FpageqlockModel, PercpuModel
from tests.model.linux import LinuxModel
from tests.model.llfree import LlfreeModel
from tests.model.magazines import MagazinesModel
from tests.model.model import Model
from tests.model.shipped import FreebsdModel, Netbsd10Model, OpenbsdModel, XnuModel

MODELS: dict[str, type[Model]] = {
    "fpageqlock": FpageqlockModel,
    "percpu": PercpuModel,
    "magazines": MagazinesModel,
    "linux_pcp": LinuxModel,
    "netbsd10": Netbsd10Model,
    "freebsd_pgcache": FreebsdModel,
    "openbsd_magazine": OpenbsdModel,
    "xnu": XnuModel,
    "llfree": LlfreeModel,
    "depot": DepotModel,
}
