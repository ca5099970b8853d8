"""The settings of a connection to Unstract: ``[sources.unstract]``."""

from typing import Annotated

from sources.provider import AccountSettings, check_authority, check_ranges

__all__ = ["Settings"]

_CENTURY_H = 876_600


class Settings(AccountSettings, frozen=True, kw_only=True):
    """One API deployment; each field is a key of ``[sources.unstract]``."""

    api_key: Annotated[str, "The key of the API deployment; belongs into secrets.toml"]
    platform_key: Annotated[
        str, "A platform key (optional): finds executions, and what they used"
    ] = ""
    organization_id: Annotated[str, "The organization, such as org_HJqNgodUQsA9"]
    api_name: Annotated[str, "The name of the API deployment"]
    base_url: Annotated[str, "Where Unstract answers"] = (
        "https://us-central.unstract.com"
    )
    include_metadata: Annotated[bool, "Whether results come with metadata"] = True
    include_metrics: Annotated[bool, "Whether results come with metrics"] = True
    include_extracted_text: Annotated[
        bool, "Whether results come with the text of the files"
    ] = True
    poll_interval_s: Annotated[float, "Seconds between two polls, at first"] = 5.0
    result_ttl_hours: Annotated[
        float, "How long Unstract keeps a finished result (3 or 24, by server)"
    ] = 3.0
    settle_hours: Annotated[
        float, "With a platform key: how far back executions are listed again"
    ] = 48.0
    concurrency: Annotated[int, "Requests in flight"] = 8
    requests_per_second: Annotated[float, "Most requests a second"] = 20.0
    read_timeout_s: Annotated[
        float, "Seconds without a byte until a poll is given up"
    ] = 300.0
    max_body_mb: Annotated[float, "Largest answer to read, MiB"] = 64.0
    ca_file: Annotated[
        str, "A PEM file with the certificate of your own authority, beside the usual"
    ] = ""
    allow_http: Annotated[bool, "Whether plain http beyond loopback is allowed"] = False

    @property
    def scope(self) -> str:
        """The scope of this deployment's executions in all keys."""
        return f"{self.organization_id}/{self.api_name}"

    def __post_init__(self) -> None:
        within = {
            "poll_interval_s": (0.001, 86_400),
            "result_ttl_hours": (0.001, _CENTURY_H),
            "settle_hours": (0, _CENTURY_H),
            "concurrency": (1, 1000),
            "requests_per_second": (0.001, 1_000_000),
            "read_timeout_s": (1, 86_400),
            "max_body_mb": (0.001, 1_000_000),
        }
        check_ranges(self, within)
        check_authority(self.ca_file)
