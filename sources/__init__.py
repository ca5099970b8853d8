"""Sources of executions: one folder a provider, HTTP in, typed rows out.

To add a provider, add a folder here, and nothing else: ``README.md`` beside this file
shows a whole one. The names in it:

``settings.py``   ``Settings``: a msgspec Struct, one field a key of the
                  configuration, with its meaning; ``api_key`` without a default.
``client.py``     the endpoints: one method each, which returns the answer.
``normalize.py``  ``VERSION``, ``observe(response)`` and ``records(response,
                  winners, decoded)``: pure, see ``sources.observations``. ``FILLS``
                  names the tables it fills, where that is not every one.
``columns.py``    only where there is much of it: the same rows, and quicker, of
                  responses of the usual shapes, see ``sources.columnar``.
``collect.py``    ``collect(settings, journal, seen, …)`` reads what is due into the
                  journal; ``check(settings)`` tests key and address for ``doctor``;
                  ``planned(…)`` says in words what is due.
``tracking.py``   only where executions are asked for by their ids: how they come on
                  the watch-list, see ``sources.tracking``.
``submit.py``     only where executions can be started from here.
``__init__.py``   the ``@dlt.source`` for a script of one's own.
``twin.py``       ``demo(now)``: a small server that behaves as the provider does.
``recordings/``   responses as documented and as observed: the contract tests run
                  every law over them.
``README.md``     configuration, tables, and what the provider's servers really do.

Discovery, loading, the contract tests and the demo find the folder by its
``normalize.py``.
"""

from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

__all__ = ["optional_part", "part", "providers"]


@cache
def providers() -> tuple[str, ...]:
    """Return the names of all providers, without importing any of them."""
    here = Path(__file__).parent
    return tuple(sorted(path.parent.name for path in here.glob("*/normalize.py")))


def part(provider: str, name: str) -> ModuleType:
    """Return one module of a provider's folder, such as ``normalize``."""
    return import_module(f"sources.{provider}.{name}")


def optional_part(provider: str, name: str) -> ModuleType | None:
    """Return a module that only some providers have, or ``None``."""
    there = (Path(__file__).parent / provider / f"{name}.py").exists()
    return part(provider, name) if there else None
