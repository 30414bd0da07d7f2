"""Tunables as text: NAME=VALUE, as a command line has them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from uvmfree.errors import ParamError
from uvmfree.param import Param
from uvmfree.uvm.design import Design
from uvmfree.uvm.designs import REGISTRY, find

_BOOLS: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


def parse_settings(
    settings: Iterable[str], *, given: Mapping[str, str], option: str = "--set", designs: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the fields of Param that the settings name, with values of the fields' types.

    => A tunable of a design's own is called TUNABLE or DESIGN.TUNABLE, and comes as a pair of `own`.
    => `designs`: those that are asked for, which may be of other packages: their tunables are known too.
    => `option`: how they were given, for an error to say.
    => `given`: fields that cannot be set here, and the option that sets them, or why none does.
    => ParamError names a setting without `=`, an unknown name beside those that the designs have, one that was set
       before, or a value of a wrong type.
       Whether a value is in range is for Param to say; of a design's own, ParamError here.
    """
    types, owned = {field.name: str(field.type) for field in fields(Param)}, _owned(designs)
    found: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ParamError(f"{option} {setting}: must be NAME=VALUE")
        if name in given:
            by = given[name]
            raise ParamError(f"{option} {setting}: " + (f"{name} is set by {by}" if by.startswith("-") else by))
        if name not in types:
            owners = {said: kind for said, kind in owned.items() if name in (said, said.rpartition(".")[2])}
            if not owners:
                its = [each for each in owned if each.startswith(f"{name.partition('.')[0]}.")]
                asked = {find(each).name for each in designs} or REGISTRY
                others = [each for each in owned if each.rpartition(".")[0] in asked]
                known = ", ".join(its or [*sorted(types.keys() - given.keys() - {"own"}), *others])
                raise ParamError(f"{option} {setting}: no tunable is called {name}; there are {known}")
            for said, kind in owners.items():
                if said in dict(found.get("own", ())):
                    raise ParamError(f"{option} {setting}: {said} was set before")
                found["own"] = (*found.get("own", ()), (said, _value(name, kind, text)))
            continue
        if name in found:
            raise ParamError(f"{option} {setting}: {name} was set to {found[name]} before")
        found[name] = _value(name, types[name], text)
    own = Param(own=found.get("own", ()))
    for design in _known(designs).values():
        own.tunables_of(design.name, design.Tunables)
    return found


def unused(names: Iterable[str], design: str, designs: Iterable[str]) -> list[str]:
    """Return those of some tunables that a design does not use: another's own, or such that only others use.

    => `designs`: others that there are, beside those of this package.
    """
    mine, known = find(design), (*REGISTRY.values(), *map(find, designs))
    others = frozenset[str]().union(*(each.used() for each in known)) - mine.used()
    owners = {name: name.rpartition(".")[0] for name in names}
    return [name for name, owner in owners.items() if (owner != mine.name if owner else name in others)]


def check_used(settings: Iterable[str], designs: Sequence[str], option: str = "--set") -> None:
    """Refuse a tunable that none of these designs uses, as it would change nothing in silence: ParamError."""
    for setting in settings:
        name = setting.partition("=")[0]
        if all(unused([name], design, designs) for design in designs):
            own = ", ".join(f"{each.name}.{one.name}" for each in map(find, designs) for one in fields(each.Tunables))
            raise ParamError(
                f"{option} {setting}: {name} is not used by {', '.join(designs)}, with tunables {own or 'none'}"
            )


def _known(designs: Iterable[str]) -> dict[str, type[Design[Any]]]:
    """Return the designs of this package and these, by the names that they give themselves; ParamError."""
    return REGISTRY | {design.name: design for design in map(find, designs)}


def _owned(designs: Iterable[str]) -> dict[str, str]:
    """Return the types of all tunables of designs, by DESIGN.TUNABLE."""
    known = _known(designs).values()
    return {f"{each.name}.{own.name}": str(own.type) for each in known for own in fields(each.Tunables)}


def _value(name: str, kind: str, text: str) -> Any:
    """Return a text as a value of a field's type, as Param spells types."""
    if text.lower() == "none" and kind.endswith("None"):
        return None
    if "bool" in kind:
        if text.lower() not in _BOOLS:
            raise ParamError(f"{name}={text}: must be true or false")
        return _BOOLS[text.lower()]
    try:
        if "float" in kind:
            return float(text)
        if "int" in kind:
            return int(text)
    except ValueError:
        raise ParamError(f"{name}={text}: must be a {'number' if 'float' in kind else 'whole number'}") from None
    return text
