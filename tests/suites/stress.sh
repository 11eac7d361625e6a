#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# stress.sh [SEED [SECONDS]]: everything at once, for SECONDS. The kernel's own
# checkers are the judges, and what is left when it is over. A warning does not end
# the VM, for one of debugfs is known (scripts/lib.sh); any other fails it then.
#
# Suite:
#   kernels  newest-debug
#   by-name  *-debug *-kcsan
#   cmdline  panic_on_warn=0
#   seconds  70
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

seed=${1:-1}
seconds=${2:-45}

# Several looks, for it is no mistake to wait for a moment.
no_task_waits() {
	! grep -l '^State:.D' /proc/[0-9]*/status 2>/dev/null
}

sound() {
	loaded || load period_ms=1
	wait_for 20 no_task_waits || fail 'a task waits uninterruptibly'
	echo 0 >$parameters/max_samples
	stop
	balanced
	period 1
	start
	sleeper
	add "$pid"
	taken=$(stat_of taken)
	wait_for 60 stat_is taken -gt "$((taken + 20))" || fail 'sampling stands still'
	stop
	balanced
	rows >/tmp/all
	whole_rows /tmp/all
	rmmod taskmonitor || fail 'rmmod failed'
}

stress() {
	tmtool stress "$seed" "$seconds" /taskmonitor.ko >/tmp/stress ||
		fail "tmtool stress $seed $seconds"
	note "seed $seed, $seconds seconds: $(tr '\n' ' ' </tmp/stress)"
	while read -r what count; do
		cmp_int "$count" -ge 1 "rounds of $what"
	done </tmp/stress
	sound
}
t 'traps 5, 15, 18 adding, removing, killing, reading, reclaim, stop, start, reload at once' \
	stress period_ms=1

run_tests
