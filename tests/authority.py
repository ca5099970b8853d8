"""An authority that nobody trusts unless told to, and the certificates it gives."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

__all__ = ["Authority"]


class Authority:
    """Signs certificates; ``file`` is what one has to know to trust them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self.file = folder / "authority.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def certificate(self, name: str = "127.0.0.1", *, is_over: bool = False) -> Path:
        """Return a file with a certificate for a server, and its key."""
        now = datetime.now(UTC)
        given = self._ca.issue_cert(
            name,
            not_before=now - timedelta(days=9),
            not_after=now - timedelta(days=1) if is_over else None,
        )
        path = self._folder / f"{name}-{is_over}.pem"
        given.private_key_and_cert_chain_pem.write_to_path(path)
        return path
