"""Data that is written as JSON for scripts: frozen values, and documents that begin with the name of their schema."""

import json
from typing import Self

from pydantic import BaseModel, ConfigDict

from lrladder.benchmark import upgrade
from lrladder.benchmark.reading import parse_json


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Document(Frozen):
    """A JSON document. Each kind of document sets `schema_` to the name of its schema."""

    schema_: str

    def to_json(self) -> str:
        data = self.model_dump(mode="json")
        return json.dumps({"schema": data.pop("schema_"), **data}, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises ValueError unless the text is a document of this schema or of an earlier version of it."""
        schema = cls.model_fields["schema_"].default
        data = parse_json(text)
        try:
            data = upgrade.results(data) if isinstance(data, dict) else {}
        except (AttributeError, LookupError, TypeError) as error:  # of an older schema by name alone
            raise ValueError(f"not a {schema} file") from error
        if data.pop("schema", None) != schema:
            raise ValueError(f"not a {schema} file")
        return cls.model_validate(data)
