"""A loader that loads the same responses into one database after another.

Run as ``python -m tests.pipelines.postgres_loader FILE HOME [shared]``: FILE holds the
responses of a provider as JSON. For each URL on standard input it loads them, and says
"done". With ``shared``, dlt's staging schema is the same for all.
"""

import os
import sys
from pathlib import Path

import msgspec

from pipelines import postgres
from pipelines.store import Home
from sources.records import Response
from tests.pipelines.postgres_database import load_responses

if __name__ == "__main__":
    file, folder, *shared = sys.argv[1:]
    if shared:
        setattr(postgres, "name_of", lambda _: "shared")  # noqa: B010 - not ours
        setattr(postgres.Postgres, "_tidy", lambda *_: None)  # noqa: B010 - not ours
    said = msgspec.json.decode(Path(file).read_bytes(), type=list[Response])
    home = Home(Path(folder), destination="postgres")
    for url in sys.stdin:
        os.environ["DESTINATION__POSTGRES__CREDENTIALS"] = url.strip()
        try:
            load_responses(home, said)
            told = "done"
        except Exception as error:  # noqa: BLE001 - the test is told
            told = f"{type(error).__name__}: {error}".replace("\n", " ")
        sys.stdout.write(f"{told}\n")
        sys.stdout.flush()
