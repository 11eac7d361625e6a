#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The grader in its VMs: some of the submissions whose scores are known. All of them:
# make grade-check.
#
# Suite:
#   kernels  -
#   by-name  host
#   seconds  70
set -u

tests=$(cd -- "$(dirname -- "$0")/.." && pwd)
nr=0
bad=0

# t "what it proves" SUBMISSION...: as tests/grade.py check has them.
t() {
	nr=$((nr + 1))
	what=$1
	shift
	if said=$("$tests/grade.py" -j 1 check "$@" 2>&1); then
		echo "ok $nr - $what"
	else
		printf '%s\n' "$said" | sed 's/^/# /'
		echo "not ok $nr - $what"
		bad=1
	fi
}

echo 'KTAP version 1'
echo '1..4'
t 'our own module gets full marks' taskmonitor@6.1=T1Q5,T2Q2
t 'a solution after task 2 has the points of task 2, and no others' \
	stage-2@6.1=T1Q5,T3Q2,T7Q2
t 'a crash costs its question, and the next one is asked' \
	traps/08-kernel-thread@6.1=T1Q5,T2Q2
t 'rows in another form cost nothing' forms/words-and-units@6.1=T1Q5
exit "$bad"
