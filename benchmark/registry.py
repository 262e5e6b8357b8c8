"""A registry whose entries are imported when they are first asked for, so that a command imports only what it needs."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from pkgutil import resolve_name
from typing import TypeVar

Entry = TypeVar("Entry")


class Registry(MutableMapping[str, Entry]):
    """Entries by name, in the order of `places`, which says where each entry is, as `module:name`.

    `find` imports the entry at a place.
    """

    def __init__(self, places: Mapping[str, str], find: Callable[[str], Entry] = resolve_name) -> None:
        self._places, self._find = dict(places), find
        self._entries: dict[str, Entry] = {}

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            self._entries[name] = self._find(self._places[name])
        return self._entries[name]

    def __setitem__(self, name: str, entry: Entry) -> None:
        self._places.setdefault(name, "")
        self._entries[name] = entry

    def __delitem__(self, name: str) -> None:
        del self._places[name]
        self._entries.pop(name, None)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
