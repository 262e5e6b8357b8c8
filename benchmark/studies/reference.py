"""Writes docs/config.md, the reference of all keys of a config, from the models that check them.

python -m lrladder.benchmark.studies.reference > docs/config.md
"""

from collections.abc import Iterator

from pydantic import BaseModel

from lrladder.benchmark.config.keys import Key, anchor, own_keys, title
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.studies.kinds import KINDS
from lrladder.benchmark.studies.regret.entries import EntryConfig
from lrladder.paradigms.registry import SHIPPED

COMMAND = "python -m lrladder.benchmark.studies.reference > docs/config.md"
EVERY = "Keys of every study"
HEAD = f"""# Every key of a config

A config is a YAML file for `lrladder plan` and `lrladder run`. Its key `kind` names the kind of study; without it the
kind is `benchmark`. The first two chapters list the keys at the top of a file, and the chapters after them list the
keys of the sections inside. A section that is left out has its defaults. `null` is YAML's word for no value. An unknown
key is refused with a suggestion. So is a value that changes nothing because the models lack what the key is about, such
as `router_lr` of dense models. `lrladder plan FILE` checks a file and trains nothing.

A *rung* is one model size. A *horizon* is a number of training tokens to which a run is trained. The *base* is the
model from which the rules take their ratios. [design.md](design.md) defines the other terms, and
[theory.md](theory.md) says what each rule does.

This page is generated from the code. This command writes it again:

    {COMMAND}
"""


def page() -> str:
    """The whole page as markdown. Each key is listed once, in the section of the class that defines it."""
    parts = [HEAD, f"## {EVERY}\n", _table(StudyConfig)]
    for name, kind in KINDS.items():
        parts += [f"## Keys of `kind: {name}`\n", f"{_docstring(kind.config_model)}\n"]
        parts += [_table(model) for model in _bases(kind.config_model) if model is not StudyConfig]
    for model in sections():
        parts += [f"## {title(model)}\n", f"{_docstring(model)}\n", *_places(model), *_inherited(model)]
        parts += [_table(model)] if keys(model) and not _changed(model) else []
    return "\n".join(parts)


def keys(model: type[BaseModel]) -> list[Key]:
    """The keys that a model defines and that a user can write beside each other in YAML."""
    hidden = {"settings"} if model is EntryConfig else set()  # these stand beside the entry's own keys
    if issubclass(model, StudyConfig):
        hidden = {"kind"}
    return [key for key in own_keys(model) if key.name not in hidden]


def tables() -> list[type[BaseModel]]:
    """All models whose keys are listed, in the order of the page."""
    top: dict[type[BaseModel], None] = {StudyConfig: None}
    for kind in KINDS.values():
        top |= dict.fromkeys(_bases(kind.config_model))
    return [*top, *(model for model in sections() if keys(model) and not _changed(model))]


def sections() -> list[type[BaseModel]]:
    """All models inside the configs, each once, in the order in which they are first named."""
    found: dict[type[BaseModel], None] = {}
    waiting: list[type[BaseModel]] = []
    for kind in KINDS.values():
        waiting += reversed(_bases(kind.config_model))
    waiting.reverse()
    while waiting:
        model = waiting.pop()
        inner = _inside(model)
        if not issubclass(model, StudyConfig):
            found.setdefault(model)
        waiting += [one for one in reversed(inner) if one not in found]
    return list(found)


def _inside(model: type[BaseModel]) -> list[type[BaseModel]]:
    """The sections that a section names: those of its keys, its bases, and of an entry the settings of paradigms."""
    inner = [one for key in keys(model) for one in key.models]
    inner += [base for base in _bases(model) if base is not model and not issubclass(base, StudyConfig)]
    if changed := _changed(model):
        inner.append(changed)
    if model is EntryConfig:
        inner += [shipped.settings for shipped in SHIPPED.values()]
    return list(dict.fromkeys(inner))


def _bases(model: type[BaseModel]) -> list[type[BaseModel]]:
    """The classes that define the keys of a model, the most general one first."""
    own = [base for base in model.__mro__ if issubclass(base, BaseModel) and base.model_fields]
    return [base for base in reversed(own) if any(own_keys(base))]


def _changed(model: type[BaseModel]) -> type[BaseModel] | None:
    """The section whose keys this one may change; None for a section with keys of its own."""
    return getattr(model, "changes", None)


def _inherited(model: type[BaseModel]) -> Iterator[str]:
    """Where other keys of a section are listed."""
    if changed := _changed(model):
        yield f"Each key of {_link(changed)} that may differ, and `null` for no change.\n"
        return
    if others := [base for base in _bases(model) if base is not model]:
        yield f"It also has the keys of {' and '.join(map(_link, others))}.\n"
    if model is EntryConfig:
        named: dict[type[BaseModel], list[str]] = {}
        for name, shipped in SHIPPED.items():
            named.setdefault(shipped.settings, []).append(f"`{name}`")
        yield "It also has the keys of its paradigm:\n"
        yield from (f"* {', '.join(names)}: {_link(settings)}" for settings, names in named.items())
        yield "* a class of your own: the keys of its `Settings` ([own-paradigm.md](own-paradigm.md))\n"


def _places(model: type[BaseModel]) -> Iterator[str]:
    """Where a section stands in a config: the keys whose value it is."""
    named = [f"`{key.name}` in {_link(owner)}" for owner in tables() for key in keys(owner) if model in key.models]
    comma = ",\n"  # one line each
    if named:
        yield f"It is a value of {comma.join(named)}.\n"


def _link(model: type[BaseModel]) -> str:
    if model is StudyConfig:
        return f"[every study](#{EVERY.lower().replace(' ', '-')})"
    for name, kind in KINDS.items():
        if issubclass(kind.config_model, model):
            return f"[kind {name}](#keys-of-kind-{name})"
    return f"[{title(model)}](#{anchor(model)})"


def _docstring(model: type[BaseModel]) -> str:
    return "\n".join(line.removeprefix("    ") for line in (model.__doc__ or "").strip().splitlines())


def _table(model: type[BaseModel]) -> str:
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key in keys(model):
        cells = (f"`{key.name}`", key.value, key.default, key.description)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(page(), end="")
