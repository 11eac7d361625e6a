#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The trace event with programs that people have: trace-cmd and perf. They and their
# libraries are 40 MB, which all suites of one kernel would have: so it is a variant.
#
# Suite:
#   kernels  6.1+large 6.12+large
#   needs    tracers
#   seconds  8
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

# traced COMMAND...: it traces what a process does, and its end. Sets $one.
traced() {
	sleeper
	one=$pid
	add "$one"
	"$@" sh -c "sleep 1; kill -9 $one; sleep 1" >/tmp/tracer 2>&1 ||
		fail "$(tail -n 3 /tmp/tracer)"
	wait_for 20 has_final "$one" || fail 'no final row'
}

# The last rows, as the event has them.
expected() {
	rows "$one" | sed '/ exit /!s/ comm / exit 0 peak 0 comm /' | tail -n 5
}

# figures: of the events on stdin.
figures() {
	sed -n "s/.*task_sample: *\\(pid $one .*\\)/\\1/p" | tail -n 5
}

by_trace_cmd() {
	traced trace-cmd record -q -e taskmonitor:task_sample -o /tmp/trace.dat
	trace-cmd report -i /tmp/trace.dat 2>/dev/null >/tmp/report
	is "$(figures </tmp/report)" "$(expected)" 'what trace-cmd reports'
}
t 'trace-cmd records and reports the samples' by_trace_cmd period_ms=20

by_perf() {
	traced perf record -q -a -e taskmonitor:task_sample -o /tmp/perf.data --
	perf script -i /tmp/perf.data >/tmp/report 2>/tmp/perf.err ||
		fail "$(tail -n 3 /tmp/perf.err)"
	is "$(figures </tmp/report)" "$(expected)" 'what perf reports'
	is "$(perf script -i /tmp/perf.data -F trace 2>/dev/null | head -n 1 | cut -d ' ' -f 1)" \
		pid 'the first word of an event'
}
t 'perf records and reports the samples' by_perf period_ms=20

run_tests
