"""The settings of a connection to Torale: ``[sources.torale]``."""

from typing import Annotated

import msgspec

__all__ = ["Settings"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One account at Torale; each field is a key of ``[sources.torale]``."""

    api_key: Annotated[str, "The API key (sk_…); belongs into secrets.toml"]
    base_url: Annotated[str, "Where Torale answers"] = "https://api.torale.ai"
    task_ids: Annotated[
        tuple[str, ...], "Tasks to read; absent: every task that the key can list"
    ] = ()
    settle_hours: Annotated[
        float, "How long after its start a finished execution is read again"
    ] = 48.0
    page_size: Annotated[int, "Executions to ask for at once (documented: 100)"] = 100
    concurrency: Annotated[int, "Requests in flight"] = 8
    requests_per_second: Annotated[float, "Most requests a second"] = 50.0
    max_body_mb: Annotated[float, "Largest answer to read, MiB"] = 64.0
    allow_http: Annotated[bool, "Whether plain http beyond loopback is allowed"] = False

    def __post_init__(self) -> None:
        least = {"page_size": 1, "concurrency": 1, "settle_hours": 0}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ValueError(f"{name} must be at least {bound}")
        for name in ("requests_per_second", "max_body_mb"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0")
