"""A lake: all that was ever loaded, in files of a folder or of object storage.

Loads only append to it, so that any number of them may at once; ``pipelines.newest``
says what of it counts. Where it is, and who may, is said as dlt's destination
``filesystem`` is told it: ``[destination.filesystem]``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from pipelines.config import quiet_dlt
from pipelines.store import causes
from sources.errors import ConfigurationError, ExecledgerError, StoreError
from sources.masking import mask_secrets
from sources.provider import settings_from

if TYPE_CHECKING:
    from dlt.destinations.impl.filesystem.filesystem import FilesystemClient

__all__ = [
    "DATASET",
    "FLAT",
    "Lake",
    "TableFormat",
    "in_words",
    "is_misconfigured",
    "lake",
]

TableFormat = Literal["delta", "parquet"]

DATASET = "execledger"
"""The folder of the lake below ``bucket_url``."""

FLAT = "{table_name}/{load_id}.{file_id}.{ext}"
"""Where dlt puts the files of a table that has no folders within its own."""


class Lake(msgspec.Struct, frozen=True):
    """Where a lake is, and how its tables are kept."""

    table_format: TableFormat = "delta"
    bucket_url: str = ""

    def destination(self, layout: str = FLAT, **placeholders: str) -> Any:  # noqa: ANN401 (dlt's)
        """Return dlt's destination; ``placeholders`` are what a layout of ours names.

        What is not said here, such as keys, is what dlt's configuration says.
        """
        quiet_dlt()
        import dlt

        return dlt.destinations.filesystem(
            bucket_url=self.bucket_url,
            layout=layout,
            extra_placeholders={**placeholders} or None,
        )

    def client(self) -> "FilesystemClient":
        """Return dlt's access to the files. Raises ``ConfigurationError``."""
        destination = self.destination()
        from dlt.common.schema import Schema
        from dlt.destinations.impl.filesystem.configuration import (
            FilesystemDestinationClientConfiguration as Configuration,
        )

        bound = Configuration()._bind_dataset_name(DATASET)  # noqa: SLF001 (dlt's own way)
        client: FilesystemClient = destination.client(Schema(DATASET), bound)
        return client


def lake() -> Lake:
    """Return the lake that is configured; raises ``ConfigurationError``."""
    quiet_dlt()
    import dlt

    raw: dict[str, object] = {
        "table_format": dlt.config.get("execledger.table_format"),
        "bucket_url": dlt.config.get("destination.filesystem.bucket_url"),
    }
    found = settings_from(Lake, raw, "execledger")
    if not found.bucket_url:
        raise ConfigurationError(
            "[destination.filesystem]: bucket_url is missing. Set it there, or "
            "DESTINATION__FILESYSTEM__BUCKET_URL."
        )
    return found


def is_misconfigured(failed: BaseException) -> bool:
    """Tell whether dlt fails as the configuration lacks something, such as a key."""
    from dlt.common.configuration.exceptions import ConfigurationException
    from dlt.common.exceptions import MissingDependencyException

    wrong = (ConfigurationException, MissingDependencyException)
    return any(isinstance(one, wrong) for one in causes(failed))


@contextmanager
def in_words(next_step: str) -> Iterator[None]:
    """Raise what fails as ``StoreError`` or ``ConfigurationError``, without keys."""
    try:
        yield
    except Exception as failed:
        chained = causes(failed)
        for error in chained:
            if isinstance(error, KeyboardInterrupt | ExecledgerError):
                raise error from failed
        said = " ".join(str(chained[-1]).split())
        reason = mask_secrets(said[:_LONGEST], ())
        if is_misconfigured(failed):
            raise ConfigurationError(
                f"[destination.filesystem] does not say how to reach the lake: {reason}"
            ) from None
        raise StoreError(
            f"The lake could not be reached: {reason}. {next_step}"
        ) from failed


_LONGEST = 500
"""Characters of a fault that are shown."""
