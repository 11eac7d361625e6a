#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The lab's questions, as far as the answer can be observed.
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

t1q2() {
	sleeper
	before=$(dmesg | wc -l)
	add "$pid"
	wait_for 10 has_rows 5 "$pid" || fail 'no five samples in ten seconds'
	is "$(dmesg | wc -l)" "$before" 'lines logged while sampling'
	rows "$pid" | field time | sort -n -u | wc -l >/tmp/n
	cmp_int "$(cat /tmp/n)" -ge 5 'samples with a time of their own'
}
t 'T1Q2 the kthread stores a sample a period, and logs nothing' t1q2 period_ms=20

run_tests
