#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The machine sleeps for a while, and the samples know.
#
# Suite:
#   kernels  6.1 6.12
#   seconds  6
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

alarm=/sys/class/rtc/rtc0/wakealarm

asleep() {
	[ -e "$alarm" ] || skip 'no clock that could wake it'
	grep -q mem /sys/power/state || skip 'it cannot sleep'
	sleeper
	add "$pid"
	wait_for 20 stat_is taken -ge 10 || fail 'no ten samples'
	late=$(stat_of late)
	before=$(rows | tail -n 1 | field time)
	# It counts whole seconds, by another clock: that is five to six.
	echo +6 >"$alarm"
	echo mem >/sys/power/state
	taken=$(stat_of taken)
	wait_for 20 stat_is taken -ge "$((taken + 10))" || fail 'it does not wake up'
	after=$(rows | tail -n 1 | field time)
	note "asleep for about $(((after - before) / 1000000)) ms; the longest round took $(stat_of tick_ns_max) ns"
	cmp_int "$((after - before))" -ge 4000000000 'ns of the samples that it slept'
	cmp_int "$(stat_of tick_ns_max)" -lt 2000000000 'ns of the longest round'
	cmp_int "$(($(stat_of late) - late))" -lt 300 'periods missed'
}
t 'a sleep of the machine shows in the time of samples, and makes no period late' asleep period_ms=10

run_tests
