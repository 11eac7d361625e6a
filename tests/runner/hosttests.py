# SPDX-License-Identifier: GPL-2.0
"""Tests on the host: each function named test_*; its docstring is the title."""

import traceback


def run(names):
    """Runs the tests among a suite's globals; prints KTAP. The exit status."""
    tests = [value for name, value in names.items() if name.startswith("test_")]
    print(f"KTAP version 1\n1..{len(tests)}")
    failed = 0
    for number, test in enumerate(tests, 1):
        try:
            test()
            print(f"ok {number} - {test.__doc__}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed = 1
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
            print(f"not ok {number} - {test.__doc__}", flush=True)
    return failed
