#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# With a clock that moves only with the tick: more than one round in a tick.
#
# Suite:
#   kernels  6.1 6.12
#   cmdline  clocksource=jiffies highres=off nohz=off
#   seconds  8
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

coarse() {
	is "$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)" \
		jiffies 'clock'
	# Each first sample is of a round of its own.
	for _ in 1 2 3 4 5 6; do
		monitored_crowd 40
		while read -r pid; do
			remove "$pid"
			add "$pid"
		done </tmp/crowd
	done
	taken=$(stat_of taken)
	wait_for 20 stat_is taken -ge "$((taken + 5000))" || fail 'no rounds'
	stop
	note "the longest round: $(stat_of tick_ns_max) ns, late $(stat_of late)"
	cmp_int "$(stat_of tick_ns_max)" -lt 1000000000 'ns of the longest round'
	cmp_int "$(stat_of tick_ns)" -lt 1000000000 'ns of the last round'
	rows | awk '
	$2 in time && $20 + 0 <= time[$2] + 0 { print "not rising: " $0 }
	{ time[$2] = $20 }' >/tmp/bad
	[ ! -s /tmp/bad ] || fail "$(head -n 1 /tmp/bad)"
	balanced
}
t 'a clock that stands still between ticks: times rise, no round takes ages' coarse period_ms=4

run_tests
