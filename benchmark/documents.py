"""Base classes of data that is written as JSON: frozen values, and documents that begin with their schema's name."""

import json
import re
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

from lrladder.benchmark import upgrade
from lrladder.benchmark.reading import RESULTS_BYTES, parse_json, read_head, read_text

_SCHEMA = re.compile(r'\s*\{\s*"schema"\s*:\s*"([a-z./0-9]+)"')  # as our documents begin


class Frozen(BaseModel):
    """Immutable data. An unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # built at first use


class Document(Frozen):
    """A JSON document. Each kind of document sets `schema_` to the name of its schema."""

    schema_: str

    def to_json(self) -> str:
        """The document as indented JSON, with the key `schema` first."""
        data = self.model_dump(mode="json")
        return json.dumps({"schema": data.pop("schema_"), **data}, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The document in a JSON text of this schema or of an earlier version of it. Raises ValueError for others."""
        schema = cls.model_fields["schema_"].default
        data = parse_json(text)
        try:
            data = upgrade.results(data) if isinstance(data, dict) else {}
        except (AttributeError, LookupError, TypeError) as error:  # it names an older schema but does not follow it
            raise ValueError(f"not a {schema} file") from error
        if data.pop("schema", None) != schema:
            raise ValueError(f"not a {schema} file")
        return cls.model_validate(data)


def written_schema(path: Path) -> str | None:
    """The name of the schema that a file has written in it, of any version; None if there is none to be read."""
    try:
        if (found := _SCHEMA.match(read_head(path).decode("utf-8", errors="replace"))) is not None:
            return found[1]
        data = parse_json(read_text(path, RESULTS_BYTES))
    except (OSError, ValueError):
        return None
    return str(data.get("schema")) if isinstance(data, dict) else None
