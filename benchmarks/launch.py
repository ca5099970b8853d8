"""Runs a program and prints what it cost, as JSON: ``python -IS launch.py COMMAND …``.

Small on purpose: Linux counts the memory of the process that starts a program to the
peak of the program.
"""

import json
import os
import sys
import time

if __name__ == "__main__":
    began = time.perf_counter()
    child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
    _, status, used = os.wait4(child, 0)
    result = {
        "exit_code": os.waitstatus_to_exitcode(status),
        "cpu_s": used.ru_utime + used.ru_stime,
        "wall_s": time.perf_counter() - began,
        "peak_mb": used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6,
    }
    sys.stdout.write("\n" + json.dumps(result) + "\n")
