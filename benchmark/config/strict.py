"""The base of every part of a config."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A part of a config: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)  # built at first use
