"""What is said of a lake in Spark before there is any Spark."""

import sys
from pathlib import Path

import pytest

from pipelines.lake_rows import lake_schema
from pipelines.spark import location_of
from pipelines.spark_tables import _TYPES
from sources.errors import ConfigurationError
from sources.records import TABLES
from tests.pipelines.command import execledger

pytestmark = pytest.mark.usefixtures("here")


def test_without_pyspark_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: the extra is named."""
    monkeypatch.setitem(sys.modules, "pyspark", None)

    ran = execledger("spark", "select 1", "--lake", str(tmp_path))

    assert ran.code == 2
    assert 'pip install "execledger[spark]"' in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--conf", "spark.cores.max"], "say KEY=VALUE"),
        (["--master", "local", "--remote", "sc://x"], "Either --master or --remote"),
        ([], "bucket_url is missing"),
        (["--lake", "gs://a*b"], "must not have '*'"),
    ],
)
def test_a_wrong_option_is_said(words: list[str], said: str) -> None:
    """Law: exit 2, before anything is begun."""
    ran = execledger("spark", "select 1", *words)

    assert ran.code == 2
    assert said in ran.err


@pytest.mark.parametrize(
    "odd", ["a*", "a b", "{a,b}", "a'b", "a%20b", "a\\b", "a[b]", "a?", "a`b", "a\nb"]
)
def test_a_location_is_a_name_and_no_pattern(odd: str) -> None:
    """Law: what an engine would read otherwise than another is refused."""
    with pytest.raises(ConfigurationError, match="The location of the lake"):
        location_of(odd)


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("s3://bucket/lake", "s3a://bucket/lake"),
        ("gs://bucket/lake", "gs://bucket/lake"),
        ("/data/lake", "file:///data/lake"),
        ("file:///data/lake", "file:///data/lake"),
    ],
)
def test_a_location_is_in_sparks_words(url: str, location: str) -> None:
    """Law: what dlt is told serves."""
    assert location_of(url) == location


def test_every_type_of_the_model_has_one_in_spark() -> None:
    """Law: no table has a column that Spark could not be told."""
    found = {field.type for record in TABLES.values() for field in lake_schema(record)}
    assert found <= _TYPES.keys()
