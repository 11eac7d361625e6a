#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""answers.py: puts what the tests have seen into docs/answers.md, docs/metrics.md and
README.md.

    answers.py          runs the suites, and writes their output into the documents
    answers.py SUITE    runs this one only
    answers.py check    whether each function that docs/answers.md names is where it
                        says, and each output comes from a test

In a document an output is a code block behind a line "<!-- output: NAME -->". The
pictures are docs/pressure.svg, made by gnuplot from the figures of the suite pressure,
and docs/run.svg, made by taskmonitor plot from the rows of the suite typed.
"""

import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOCUMENT = os.path.join(ROOT, "docs", "answers.md")
OTHERS = [os.path.join(ROOT, "README.md"), os.path.join(ROOT, "docs", "metrics.md")]
PICTURE = os.path.join(ROOT, "docs", "pressure.svg")
# Which kernel shows what: the reserve needs allocations that fail on demand.
RUNS = [("6.1", "lab"), ("newest-debug", "lab"), ("6.1", "pressure"), ("6.1", "typed")]
BLOCK = re.compile(r"(<!-- output: (\w+) -->\n```text\n)(.*?)(```\n)", re.DOTALL)
PLACE = re.compile(r"`(\w+)\(\)`[^`\n]{0,40}?`(\w+\.[ch])`")

PLOT = """\
set terminal svg size 800,420 dynamic background rgb 'white'
set output '{out}'
set title 'The history gives way: every file of a disk is read, 128 MB of memory'
set xlabel 'seconds'
set ylabel 'samples'
set y2label 'free memory, MiB'
set ytics nomirror
set y2tics
set yrange [0:]
set y2range [0:]
set key bottom left
plot '{data}' using 1:2 with lines lw 2 title 'samples in the history', \\
     '{data}' using 1:3 axes x1y2 with lines lw 1 title 'free memory'
"""


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def seen(kernel, suite):
    """{name: lines} of one run, whose tests all pass."""
    with tempfile.TemporaryDirectory() as out:
        subprocess.run([os.path.join(ROOT, "tests", "run.py"), "-k", kernel, "-s", suite,
                        "-a", "answers", "-o", out], stdout=subprocess.DEVNULL, check=True)
        text = read(os.path.join(out, "test.ktap"))
    found = {}
    for name, line in re.findall(r"^ *# answer (\w+)\| ?(.*)$", text, re.MULTILINE):
        found.setdefault(name, []).append(line.rstrip())
    return found


def seen_of_plain():
    """What the plain solution logs at load after task 3, asked by the grader."""
    grade = os.path.join(ROOT, "tests", "grade.py")
    with tempfile.TemporaryDirectory() as out:
        source = os.path.join(out, "plain.c")
        subprocess.run([grade, "stage", "3", source], check=True)
        subprocess.run([grade, "-k", "6.1", "-q", "T3Q1", "-o", out, source],
                       stdout=subprocess.DEVNULL, check=True)
        text = read(os.path.join(out, "plain.c.txt"))
    return re.findall(r"logged: (.*)", text)[:1]


def draw(lines):
    rows = [[int(word) for word in line.split()] for line in lines]
    with tempfile.NamedTemporaryFile("w", suffix=".dat") as data:
        for at, samples, free in rows:
            data.write(f"{(at - rows[0][0]) / 100} {samples} {free / 1024}\n")
        data.flush()
        subprocess.run(["gnuplot"], input=PLOT.format(out=PICTURE, data=data.name),
                       text=True, check=True)


def draw_run(lines):
    """The picture of README.md, as its reader would make it."""
    with tempfile.NamedTemporaryFile("w", suffix=".rows") as rows:
        rows.write("\n".join(lines) + "\n")
        rows.flush()
        subprocess.run([os.path.join(ROOT, "scripts", "taskmonitor"), "plot", "-i", rows.name,
                        "-o", os.path.join(ROOT, "docs", "run.svg")], check=True)


def write(only=None):
    subprocess.run([os.path.join(ROOT, "scripts", "setup.sh"), "test", "answers"],
                   check=True)
    found = {} if only else {"plain": seen_of_plain()}
    for kernel, suite in RUNS:
        if only in (None, suite):
            for name, lines in seen(kernel, suite).items():
                found.setdefault(name, lines)

    def fill(match):
        name = match.group(2)
        if name not in found and only:
            return match.group(0)
        if name not in found:
            sys.exit(f"answers.py: no test has told {name}")
        return match.group(1) + "\n".join(found[name]) + "\n" + match.group(4)
    for document in [DOCUMENT, *OTHERS]:
        text = BLOCK.sub(fill, read(document))
        with open(document, "w", encoding="utf-8") as file:
            file.write(text)
    if "pressure" in found:
        draw(found["pressure"])
    if "run_rows" in found:
        draw_run(found["run_rows"])


def check():
    """Prints what is not so."""
    text = read(DOCUMENT)
    told = "".join(read(os.path.join(ROOT, "tests", "suites", f"{suite}.sh"))
                   for _, suite in RUNS)
    for document in [DOCUMENT, *OTHERS]:
        place = os.path.relpath(document, ROOT)
        for _, name, body, _ in BLOCK.findall(read(document)):
            if name != "plain" and f"tell_answer {name} " not in told:
                print(f"{place}: no test tells {name}")
            if not body.strip():
                print(f"{place}: the output {name} is empty: run scripts/answers.py")
            for row in re.findall(r"^pid \d.* time \d+\b(?!.* comm ).*$", body, re.MULTILINE):
                print(f"{place}: '{row}' has no name: run scripts/answers.py")
    if "docs/run.svg" not in read(OTHERS[0]) or "tell_answer run_rows " not in told:
        print("README.md: docs/run.svg is not shown, or no test tells its rows")
    for function, file in PLACE.findall(text):
        path = os.path.join(ROOT, file)
        if not os.path.exists(path) or \
                not re.search(rf"^(?:[a-z].*\b)?{function}\(", read(path), re.MULTILINE):
            print(f"docs/answers.md: there is no {function}() in {file}")
    questions = set(re.findall(r"^### (T\dQ\d)", text, re.MULTILINE))
    legend = set(re.findall(r"^\| (T\dQ\d) \|", read(os.path.join(
        ROOT, "tests", "README.md")), re.MULTILINE))
    for name in sorted(legend - questions):
        print(f"docs/answers.md: {name} has no answer")


if __name__ == "__main__":
    if sys.argv[1:] == ["check"]:
        check()
    elif not sys.argv[1:]:
        write()
    elif len(sys.argv) == 2 and sys.argv[1] in [suite for _, suite in RUNS]:
        write(sys.argv[1])
    else:
        sys.exit(__doc__)
