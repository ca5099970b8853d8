"""The settings of a connection to Discuro: ``[sources.discuro]``."""

from typing import Annotated

from sources.provider import AccountSettings, check_authority, check_ranges

__all__ = ["Settings"]

_CENTURY_H = 876_600


class Settings(AccountSettings, frozen=True, kw_only=True):
    """One account at Discuro; each field is a key of ``[sources.discuro]``."""

    api_key: Annotated[str, "The API key; belongs into secrets.toml"]
    base_url: Annotated[str, "Where Discuro answers"] = "https://api.discuro.com"
    auth_header: Annotated[str, "The header that carries the key"] = "Authorization"
    auth_scheme: Annotated[str, "The word before the key; empty for none"] = "Bearer"
    assumed_model: Annotated[
        str, "The model to assume, such as openai/gpt-4o: Discuro names none"
    ] = ""
    first_poll_s: Annotated[float, "Seconds from the start to the first poll"] = 10.0
    poll_interval_s: Annotated[float, "Seconds between two polls, at first"] = 5.0
    result_ttl_hours: Annotated[
        float, "How long after the start Discuro keeps a result"
    ] = 24.0
    concurrency: Annotated[int, "Requests in flight"] = 8
    requests_per_second: Annotated[float, "Most requests a second"] = 20.0
    max_body_mb: Annotated[float, "Largest answer to read, MiB"] = 64.0
    ca_file: Annotated[
        str, "A PEM file with the certificate of your own authority, beside the usual"
    ] = ""
    allow_http: Annotated[bool, "Whether plain http beyond loopback is allowed"] = False

    def __post_init__(self) -> None:
        within = {
            "first_poll_s": (0, 3600),
            "poll_interval_s": (0.001, 86_400),
            "result_ttl_hours": (0.001, _CENTURY_H),
            "concurrency": (1, 1000),
            "requests_per_second": (0.001, 1_000_000),
            "max_body_mb": (0.001, 1_000_000),
        }
        check_ranges(self, within)
        check_authority(self.ca_file)
