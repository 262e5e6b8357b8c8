"""Reads YAML from untrusted sources. Depth, number of values and length are limited before any object is built.

The parser of libyaml is 15 times as fast as that of Python. PyYAML has it where it was built with libyaml.
"""

from collections.abc import Iterator
from typing import Any

import yaml

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.reading import MAX_INT

MAX_DEPTH = 32  # assumption: the deepest preset nests 6 levels
MAX_NODES = 20_000  # assumption: the longest preset has 300; an alias counts as all values that it stands for
MAX_SCALAR = 64  # characters of a number or date; assumption: no sensible one is longer
Loader = type[yaml.SafeLoader] | type[yaml.CSafeLoader]
LOADER: Loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_MERGE = "tag:yaml.org,2002:merge"
# What yaml raises for a value that cannot be converted to the type of its tag.
_FAULTS = (yaml.YAMLError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError)
_LONG = frozenset({"tag:yaml.org,2002:str", "tag:yaml.org,2002:binary"})  # kinds of scalar that may be long


def load(text: str, *, source: str, loader: Loader = LOADER) -> Any:
    """The only document in `text`, None if it is empty. Raises InputError with one line that names the key."""
    try:
        _check_size(text, source, loader)
        return _built(text, source, loader)
    except InputError:
        raise
    except _FAULTS as error:
        raise InputError(f"{source}: not valid YAML, correct this place: {' '.join(str(error).split())}") from error


def _built(text: str, source: str, kind: Loader) -> Any:
    """The document, of whose scalars each has been checked first."""
    loader = kind(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        for key, node in _walk(root, source):
            _check_scalar(loader, node, f"{source}: {key}" if key else source)
        return loader.construct_document(root)  # it keeps the scalars that are constructed already
    finally:
        loader.dispose()


def _check_size(text: str, source: str, loader: Loader) -> None:
    """Refuse a document that is too large or too deep, from its parse events, before anything is built."""
    sizes: dict[str, int | None] = {}  # number of values in each anchor; None until its end is reached
    open_anchors: list[tuple[str | None, int]] = []
    count = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.AliasEvent):
            size = sizes.get(str(event.anchor), 0)
            if size is None:
                raise InputError(
                    f"{source}: the alias *{event.anchor} is part of the value that it names; write the value out"
                )
            count += size
        elif isinstance(event, yaml.ScalarEvent):
            count += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            count += 1
            open_anchors.append((event.anchor, count))
            if event.anchor:
                sizes[event.anchor] = None
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_anchors.pop()
            if anchor:
                sizes[anchor] = count - before + 1
        if len(open_anchors) > MAX_DEPTH:
            raise InputError(f"{source}: values are nested more than {MAX_DEPTH} levels deep")
        if count > MAX_NODES:
            raise InputError(f"{source}: more than {MAX_NODES:,} values, aliases counted in full; shorten the config")


def _walk(root: yaml.Node, source: str) -> Iterator[tuple[str, yaml.ScalarNode]]:
    """Every scalar once, with the dotted path of its key. Raises InputError for a key that occurs twice."""
    waiting: list[tuple[str, yaml.Node]] = [("", root)]
    seen: set[int] = set()
    while waiting:
        path, node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            yield path, node
        elif isinstance(node, yaml.SequenceNode):
            waiting += [(_join(path, str(place)), inner) for place, inner in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            known: set[str] = set()
            for key, inner in node.value:
                name = str(key.value)[:MAX_SCALAR] if isinstance(key, yaml.ScalarNode) else "?"
                where = _join(path, name)
                if isinstance(key, yaml.ScalarNode):
                    if key.value in known and name != "<<":
                        raise InputError(f"{source}: {where} is given twice; keep one")
                    known.add(key.value)
                waiting += [(where, key), (where, inner)]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _check_scalar(loader: yaml.SafeLoader | yaml.CSafeLoader, node: yaml.ScalarNode, where: str) -> None:
    """Raise InputError for a value that cannot be converted to the type of its tag."""
    if node.tag == _MERGE:
        return
    if node.tag not in _LONG and len(node.value) > MAX_SCALAR:
        raise InputError(f"{_said(node, where)}... is too long for YAML's {_kind(node)}; quote it if it is text")
    try:
        value = loader.construct_object(node)
    except _FAULTS as error:
        raise InputError(
            f"{_said(node, where)} cannot be read as YAML's {_kind(node)}; correct it, or quote it if it is text"
        ) from error
    if isinstance(value, int) and abs(value) >= MAX_INT:
        raise InputError(f"{_said(node, where)} does not fit 64 bits; give a smaller number")


def _said(node: yaml.ScalarNode, where: str) -> str:
    return f"{where}: {node.value[:MAX_SCALAR]!r}"


def _kind(node: yaml.ScalarNode) -> str:
    return str(node.tag).rsplit(":", 1)[-1]
