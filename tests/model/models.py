"""Each design's model, by the design's name."""

from tests.model.designs import FpageqlockModel, PercpuModel
from tests.model.model import Model
from tests.model.shipped import FreebsdModel, Netbsd10Model, OpenbsdModel, XnuModel

MODELS: dict[str, type[Model]] = {
    "fpageqlock": FpageqlockModel,
    "percpu": PercpuModel,
    "openbsd_magazine": OpenbsdModel,
    "freebsd_pgcache": FreebsdModel,
    "xnu": XnuModel,
    "netbsd10": Netbsd10Model,
}
