"""A search, led by what was reached before, for a body that breaks a law.

Run as ``python -m tests.faults.fuzz PROVIDER SECONDS FOLDER``. It begins with the
provider's recordings, and what it finds worth keeping stays in FOLDER, so that the next
search goes on from there. A body that breaks a law is written there, too, beside what
it was the answer to, and the search ends with an exit code that is not 0.

With ``--plant``, rows are dropped on purpose: to see that the search can fail.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["sources"]):
    from sources import optional_part, part
    from sources.json_text import Decoded, sha256
    from sources.observations import Normalizer, Winner
    from sources.records import ExecutionMetadata, Record, Response
    from tests.hurt import ONLY_HERE, hurt, wire
    from tests.laws import broken
    from tests.responses import Recording, recordings, response

__all__ = ["BrokenLawError", "search"]

SEED = 7
_BY_MEANING = 0.5
"""Share of the inputs in which JSON is changed, and not bytes."""

_MAX_BYTES = 64 * 1024
_SLOWEST_S = 60
_MOST_MEMORY_MB = 2_000


class BrokenLawError(Exception):
    """A body broke a law; the message says which, and where the body is."""


class Planted:
    """A normalizer that loses a text that no recording has."""

    def __init__(self, normalizer: Normalizer) -> None:
        self.VERSION = normalizer.VERSION
        self.observe = normalizer.observe
        self._records = normalizer.records

    def records(
        self, response: Response, winners: Sequence[Winner], decoded: Decoded
    ) -> list[Record]:
        """Return the rows but for those that are lost."""
        return [
            row
            for row in self._records(response, winners, decoded)
            if not (isinstance(row, ExecutionMetadata) and ONLY_HERE in row.value)
        ]


class Search:
    """Tries bodies: the first byte says what they are the answer to."""

    def __init__(self, provider: str, folder: Path, *, is_planted: bool) -> None:
        with atheris.instrument_imports(include=["sources"]):
            normalizer: Normalizer = part(provider, "normalize")
            self._columnar = optional_part(provider, "columns")
        self._normalizer = Planted(normalizer) if is_planted else normalizer
        self._provider = provider
        self._folder = folder
        self._asked: list[Recording] = list(recordings(provider).values())

    def seeds(self) -> list[bytes]:
        """Return what to begin with."""
        return [bytes([place]) + one.content for place, one in enumerate(self._asked)]

    def mutated(self, data: bytes, limit: int, seed: int) -> bytes:
        """Return another input: bytes are changed, or what the JSON in them says."""
        chance = Random(seed)  # noqa: S311 - which change, no secret
        try:
            if chance.random() < _BY_MEANING:
                return (data[:1] + wire(hurt(json.loads(data[1:]), chance)))[:limit]
        except (ValueError, RecursionError):
            pass  # it is no JSON any more
        changed: bytes = atheris.Mutate(data, limit)
        return changed

    def tries(self, data: bytes) -> None:
        """Hold one body to the laws; raises ``BrokenLawError``."""
        if not data:
            return
        asked = self._asked[data[0] % len(self._asked)]
        one = response(
            self._provider,
            data[1:],
            endpoint=asked.endpoint,
            params=asked.params,
            status=asked.status,
        )
        try:
            found = list(broken(one, self._normalizer, self._columnar))
        except Exception as error:
            raise self._told(one, [repr(error)]) from error
        if found:
            raise self._told(one, found)

    def _told(self, one: Response, found: Sequence[str]) -> BrokenLawError:
        body = one.body or b""
        path = self._folder / f"broken-{sha256(body)[:12]}.json"
        path.write_bytes(body)
        asked = f"{one.endpoint} {one.params}, answered with {one.http_status}"
        return BrokenLawError("\n".join([f"{path} ({asked}):", *found]))


def search(provider: str, seconds: int, folder: Path, *, is_planted: bool) -> None:
    """Search for so long; ends the process, with 0 if no law was broken."""
    tried = Search(provider, folder, is_planted=is_planted)
    for place, seed in enumerate(tried.seeds()):
        (folder / f"recording-{place}").write_bytes(seed)
    atheris.Setup(
        [
            sys.argv[0],
            str(folder),
            f"-max_total_time={seconds}",
            f"-seed={SEED}",
            f"-max_len={_MAX_BYTES}",
            f"-timeout={_SLOWEST_S}",
            f"-rss_limit_mb={_MOST_MEMORY_MB}",
            f"-artifact_prefix={folder}/",
            "-print_final_stats=1",
        ],
        tried.tries,
        custom_mutator=tried.mutated,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    planted = "--plant" in sys.argv
    given = [one for one in sys.argv[1:] if one != "--plant"]
    where = Path(given[2]) if len(given) > 2 else Path(tempfile.mkdtemp())
    where.mkdir(exist_ok=True)
    search(given[0], int(given[1]), where, is_planted=planted)
