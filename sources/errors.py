"""Every error that execledger raises on purpose.

    ExecledgerError
     ├── ConfigurationError      a setting is missing or wrong; nothing was asked
     ├── ProviderError           one provider could not be read; the others load
     │    ├── KeyRefused         401, 403
     │    ├── NotFound           404
     │    ├── RequestRefused     any other 4xx
     │    ├── Throttled          429, still so after the retries
     │    ├── ServerFault        5xx, still so after the retries
     │    ├── TransportFault     no answer: connection, time-out, cut body
     │    ├── BodyTooLarge       an answer beyond the limit on size
     │    ├── RedirectRefused    a redirect to another origin, or to plain http
     │    ├── UnexpectedAnswer   an answer that is not what this endpoint gives
     │    └── IncompleteListing  a listing that moved faster than it could be read
     ├── StoreError              the store could not be read or written
     │    ├── StoreLocked        another run holds the lock
     │    └── LoadCheckFailed    what was loaded is not what was to be loaded
     └── ReportFailed            a notebook failed: which cell, and why

The message of each names the thing, the value (keys masked) and the next step.
"""

__all__ = [
    "BodyTooLarge",
    "ConfigurationError",
    "ExecledgerError",
    "IncompleteListing",
    "KeyRefused",
    "LoadCheckFailed",
    "NotFound",
    "ProviderError",
    "RedirectRefused",
    "ReportFailed",
    "RequestRefused",
    "ServerFault",
    "StoreError",
    "StoreLocked",
    "Throttled",
    "TransportFault",
    "UnexpectedAnswer",
]


class ExecledgerError(Exception):
    """The root: catch this to catch every error raised here on purpose."""


class ConfigurationError(ExecledgerError):
    """A setting is missing or wrong; no request was made."""


class ProviderError(ExecledgerError):
    """One provider could not be read; what it did answer is kept."""


class KeyRefused(ProviderError):
    """The provider refused the key (401 or 403)."""


class NotFound(ProviderError):
    """The provider knows no such thing (404)."""


class RequestRefused(ProviderError):
    """The provider refused the request itself (another 4xx)."""


class Throttled(ProviderError):
    """The provider asked to wait (429), also after the retries."""


class ServerFault(ProviderError):
    """The provider failed (5xx), also after the retries."""


class TransportFault(ProviderError):
    """No whole answer arrived: connection, time-out, or a body cut short."""


class BodyTooLarge(ProviderError):
    """The answer is beyond ``max_body_mb``; reading stopped there."""


class RedirectRefused(ProviderError):
    """The answer redirects to another origin or to plain http."""


class UnexpectedAnswer(ProviderError):
    """The answer is not what this endpoint gives: HTML, or another shape."""


class IncompleteListing(ProviderError):
    """A listing changed faster than it could be read; rows may be missing."""


class StoreError(ExecledgerError):
    """The store could not be read or written; it is as it was."""


class StoreLocked(StoreError):
    """Another run holds the lock of this home."""


class LoadCheckFailed(StoreError):
    """What was loaded is not what was to be loaded; the work copy is dropped."""


class ReportFailed(ExecledgerError):
    """A notebook failed; no report was written."""
