"""What a command does to its own process to start and end sooner: half a second.

Not for programs that use this as a library: it is theirs to say.
"""

import atexit
import gc
import os
import sys
from importlib.abc import MetaPathFinder

__all__ = ["tune", "without_pandas"]


def tune() -> None:
    """Have Python collect little garbage, and numpy start no threads."""
    gc.set_threshold(50_000, 20, 100)  # rows are many objects, and none is in a cycle
    atexit.register(gc.freeze)  # at the end, none is freed by itself: 0.2 s
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def without_pandas() -> None:
    """Have pyarrow do without pandas, which takes 0.1 s to import and is not needed.

    Whether there is pandas it looks at its first list, and never again; what cannot
    do without, such as ``to_pandas``, imports it all the same.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([])
    finally:
        sys.meta_path.remove(finder)


class _NoPandas(MetaPathFinder):
    """Says that there is no pandas."""

    def find_spec(self, fullname: str, *_: object) -> None:
        """Raise ``ModuleNotFoundError`` for pandas."""
        if fullname == "pandas":
            raise ModuleNotFoundError(name=fullname)
