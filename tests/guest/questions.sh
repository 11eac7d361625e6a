# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What the suite `lab` and the grader look at in the same way. Sourced after
# lib.sh.

tracing=/sys/kernel/tracing
scan_event=$tracing/events/vmscan/mm_shrink_slab_start

# scans FILE: the shrinkers that one drop_caches asks, by name.
scans() {
	: >"$tracing/trace"
	echo 1 >"$scan_event/enable"
	drop_caches
	echo 0 >"$scan_event/enable"
	grep mm_shrink_slab_start: "$tracing/trace" >"$1" || :
}

# asked_when_gone MODULE FILE: no shrinker of the module's is in there, and none
# of no known code: a function that is gone has no name.
asked_when_gone() {
	! grep "\\[$1\\]" "$2" &&
		! grep -v 'mm_shrink_slab_start: [a-z_0-9.]*+0x' "$2"
}

# equal_to_proc PID: its last row, against /proc/PID/status.
equal_to_proc() {
	rows "$1" | tail -n 1 >/tmp/last
	awk '
		FNR == NR { status[$1] = $2; next }
		{ found = 1
		  bad = $8 != status["VmSize:"] || $10 != status["VmStk:"] ||
			$12 != status["VmData:"] }
		END { exit bad || !found }' "/proc/$1/status" /tmp/last
}
