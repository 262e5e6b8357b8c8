"""Base classes of data that is written as JSON: frozen values, and documents that begin with their schema's name."""

import json
from typing import Self

from pydantic import BaseModel, ConfigDict

from lrladder.benchmark import upgrade
from lrladder.benchmark.reading import parse_json


class Frozen(BaseModel):
    """Immutable data. An unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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
