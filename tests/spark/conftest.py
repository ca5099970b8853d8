"""What the tests of Spark share: servers that run while a module's tests do."""

from collections.abc import Iterator

import pytest

from tests.pipelines.conftest import here
from tests.spark.servers import cluster, connect_server

__all__ = ["connect", "here", "master"]


@pytest.fixture(scope="module")
def connect() -> Iterator[str]:
    """Run a server of Spark Connect; yield its URL."""
    with connect_server() as url:
        yield url


@pytest.fixture(scope="module")
def master() -> Iterator[str]:
    """Run a master and two workers; yield its URL."""
    with cluster(workers=2) as url:
        yield url
