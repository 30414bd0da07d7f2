"""Tunables as text: NAME=VALUE, as a command line has them."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, Final

from uvmfree.errors import ParamError
from uvmfree.param import Param
from uvmfree.uvm.designs import REGISTRY

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


def parse_settings(settings: Iterable[str], *, given: Mapping[str, str], option: str = "--set") -> dict[str, Any]:
    """Return the fields of Param that the settings name, with values of the fields' types.

    => A tunable of a design's own is called TUNABLE or DESIGN.TUNABLE, and comes as a pair of `own`.
    => `option`: how they were given, for an error to say.
    => `given`: fields that cannot be set here, and the option that sets them, or why none does.
    => ParamError names a setting without `=`, an unknown name, one that was set before, or a value of a wrong type.
       Whether a value is in range is for Param to say; of a design's own, ParamError here.
    """
    types = {field.name: str(field.type) for field in fields(Param)}
    found: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ParamError(f"{option} {setting}: must be NAME=VALUE")
        if name in given:
            by = given[name]
            raise ParamError(f"{option} {setting}: " + (f"{name} is set by {by}" if by.startswith("-") else by))
        if name not in types:
            owners = _owners(name)
            if not owners:
                owned = [each for each in _all_owned() if each.startswith(f"{name.partition('.')[0]}.")]
                known = ", ".join(owned or [*sorted(types.keys() - given.keys() - {"own"}), *_all_owned()])
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
    for design in REGISTRY.values():
        own.tunables_of(design.name, design.Tunables)
    return found


def _all_owned() -> dict[str, str]:
    """Return the types of all tunables of designs, by DESIGN.TUNABLE."""
    return {f"{each.name}.{own.name}": str(own.type) for each in REGISTRY.values() for own in fields(each.Tunables)}


def _owners(name: str) -> dict[str, str]:
    """Return the tunables of designs that are called so, with or without the design, and their types."""
    return {said: kind for said, kind in _all_owned().items() if name in (said, said.rpartition(".")[2])}


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
