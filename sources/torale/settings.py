"""The settings of a connection to Torale: ``[sources.torale]``."""

from typing import Annotated

import msgspec

from sources.provider import AccountSettings, check_authority, check_ranges

__all__ = ["Settings"]

_CENTURY_H = 876_600
_TaskId = Annotated[str, msgspec.Meta(min_length=1)]


class Settings(AccountSettings, frozen=True, kw_only=True):
    """One account at Torale; each field is a key of ``[sources.torale]``."""

    api_key: Annotated[str, "The API key (sk_…); belongs into secrets.toml"]
    base_url: Annotated[str, "Where Torale answers"] = "https://api.torale.ai"
    task_ids: Annotated[
        tuple[_TaskId, ...], "Tasks to read; absent: every task that the key can list"
    ] = ()
    settle_hours: Annotated[
        float, "How long after its start a finished execution is read again"
    ] = 48.0
    page_size: Annotated[int, "Executions to ask for at once (documented: 100)"] = 100
    concurrency: Annotated[int, "Requests in flight"] = 8
    requests_per_second: Annotated[float, "Most requests a second"] = 50.0
    max_body_mb: Annotated[float, "Largest answer to read, MiB"] = 64.0
    ca_file: Annotated[
        str, "A PEM file with the certificate of your own authority, beside the usual"
    ] = ""
    allow_http: Annotated[bool, "Whether plain http beyond loopback is allowed"] = False

    def __post_init__(self) -> None:
        within = {
            "page_size": (1, 1_000_000),
            "concurrency": (1, 1000),
            "settle_hours": (0, _CENTURY_H),
            "requests_per_second": (0.001, 1_000_000),
            "max_body_mb": (0.001, 1_000_000),
        }
        check_ranges(self, within)
        check_authority(self.ca_file)
