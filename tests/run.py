#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""run.py: runs the test suites in VMs, some at a time.

    run.py [-k KERNEL]... [-s SUITE]... [-a ARGUMENTS] [-t SECONDS] [-j VMS]
           [-o DIRECTORY]
    run.py mutants [-t TABLE] [NAME]...
    run.py bench [...]                  see run.py bench -h
    run.py list                         what make test runs, and what by name

A suite names the kernels that it is run on in its own head: tests/README.md.
A VM that was lost, hung or whose kernel reported a bug is a failure of its own,
and so is every test that was planned there and gave no result. A kernel that
cannot be had on this machine is skipped. The last line is "N passed, N failed,
N skipped"; the exit status is 1 if anything failed.
"""

import argparse
import os
import sys
import tempfile

from runner import bench, jobs, mutants, report, suites
from runner.common import Failure, cache_dir, children, end_on_signals, say


def parse(arguments):
    parser = argparse.ArgumentParser(prog="run.py", usage=__doc__)
    add = parser.add_argument
    add("-k", dest="kernels", metavar="KERNEL", action="append", default=[],
        help="on that kernel; KERNEL+full, KERNEL+numa: booted so")
    add("-s", dest="suites", metavar="SUITE", action="append", default=[],
        help="that suite")
    add("-a", dest="arguments", default="",
        help="what the suites take, with commas: -s stress -a SEED,SECONDS")
    add("-t", dest="limit", metavar="SECONDS", type=int, default=500,
        help="the time limit of a VM (500)")
    add("-j", dest="vms", type=int, default=jobs.WORKERS,
        help="how many VMs at a time (as many as there are CPUs)")
    add("-o", dest="results", metavar="DIRECTORY",
        default=os.path.join(cache_dir(), "results"),
        help="where test.ktap and test.xml go (the cache)")
    return parser.parse_args(arguments)


def run_all(lab, pairs, vms):
    """Yields a report for each pair, or for each kernel that cannot be had."""
    guests = {}                 # (kernel, what its suites need): the initramfs
    places = {}                 # kernel, or KERNEL+variant: the initramfs
    for kernel in dict.fromkeys(kernel for kernel, _ in pairs):
        base = kernel.partition("+")[0]
        if kernel == "host":
            continue
        known = base in lab.missing
        if lab.has(base):
            needs = frozenset(need for k, s in pairs if k == kernel for need in s.needs
                              if need in suites.IN_GUEST)
            if (base, needs) not in guests:
                guests[base, needs] = lab.guest(base, needs, f"{base}-{len(guests)}")
            places[kernel] = guests[base, needs]
        elif not known:
            missing = report.Report(base, base, "-")
            missing.skipped = lab.missing[base]
            say(f"skipped: {missing.skipped}")
            yield missing
    items = [(kernel, suite, places.get(kernel)) for kernel, suite in pairs
             if kernel == "host" or kernel in places]
    say(f"running {len(items)} VMs, {vms} at a time")
    for one in jobs.in_parallel(lab.run, items, vms):
        jobs.show(one)
        yield one


def write(directory, name, text):
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, name)
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)
    return path


def test(arguments):
    options = parse(arguments)
    pairs = suites.plan(suites.all_suites(), options.kernels, options.suites)
    suites.kunit_suites()
    jobs.require("test")
    with tempfile.TemporaryDirectory() as work:
        lab = jobs.Lab(work, options.limit, options.arguments)
        reports = list(run_all(lab, pairs, options.vms))
    print()
    for one in reports:
        for result in one.results:
            if result.verdict == "failed":
                print(f"not ok - {one.name}: {result.title}")
        if one.logs:
            print(f"logs: {one.logs}")
        if one.skipped:
            print(f"skipped: {one.skipped}")
    print("KTAP:  " + write(options.results, "test.ktap", report.ktap(reports)))
    print("JUnit: " + write(options.results, "test.xml", report.junit(reports)))
    print(report.summary(reports))
    return int(report.totals(reports)["failed"] > 0)


def show_plan(_):
    for name, suite in suites.all_suites().items():
        print(f"{name:10} {' '.join(suite.kernels) or '-':44} "
              f"by name: {' '.join(suite.by_name) or '-'}")
    return 0


def main():
    commands = {"bench": bench.main, "mutants": mutants.main, "list": show_plan}
    arguments = sys.argv[1:]
    command = test
    if arguments and arguments[0] in commands:
        command = commands[arguments.pop(0)]
    end_on_signals()
    try:
        return command(arguments)
    except Failure as failure:
        say(f"run.py: {failure}")
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        children.end()


if __name__ == "__main__":
    sys.exit(main())
