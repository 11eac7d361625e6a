#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A reader that hardly gets the CPU delays no other task: on one CPU, which others keep
# busy, the kernel preempts it anywhere. A nanosecond is an instruction here.
#
# Suite:
#   kernels  6.1 6.12 6.1-rt 6.12-rt
#   needs    icount
#   cmdline  preempt=full
#   seconds  15
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

period_ms=10

# drop_ns: the ns that dropping the caches takes, with the CPU when it wants it.
drop_ns() {
	echo 2 | tmtool urgent tmtool timed-write /proc/sys/vm/drop_caches |
		awk '{ print $2 - $1 }'
}

# shellcheck disable=SC2016 # the shell inside expands this
starved_reader() {
	: >/tmp/reading
	file=$file tmtool idle sh -c '
		while [ -e /tmp/reading ]; do
			cat $file >/dev/null
			echo >>/tmp/readings
		done' &
	kill_at_end $!
}

# readings N: whether the file was read so often.
readings() {
	[ "$(wc -l </tmp/readings)" -ge "$1" ]
}

# history N: of 50 processes; begins the next to be sampled.
history() {
	produce "$1"
	period $period_ms
	start
}

# worst_drop: sets $worst, of six times a few rounds apart.
worst_drop() {
	taken=$(stat_of taken)
	worst=0
	for _ in 1 2 3 4 5 6; do
		taken=$((taken + 500))
		wait_for 60 stat_is taken -ge "$taken" || fail 'sampling stands still'
		ns=$(drop_ns)
		[ "$ns" -le "$worst" ] || worst=$ns
	done
}

starved() {
	: >/tmp/readings
	monitored_crowd 50
	# So that there is always as much to drop.
	echo 100 >"$parameters/max_samples"
	spinner
	spinner=$pid
	history 5000
	worst_drop
	alone=$worst
	stop
	history 5000
	longest=$(stat_of tick_ns_max)
	starved_reader
	reader=$pid
	wait_for 100 readings 1 || fail 'the reader gets no CPU at all'
	# While it is somewhere in the history.
	worst_drop
	longest="$(stat_of tick_ns_max) ns at most, after $longest"
	note "rounds: $longest; drop_caches: $worst ns, alone $alone; $(wc -l </tmp/readings) readings"
	cmp_int "${longest%% *}" -le "$((3 * period_ms * 1000000))" \
		'ns of the longest round'
	# And two ticks, for which a busy task can have the CPU in between.
	cmp_int "$worst" -le "$((2 * alone + 8000000))" 'ns of drop_caches'
	# It needs the CPU to end as well.
	kill -9 "$spinner"
	wait_for 100 readings 2 || fail 'the reader does not go on'
	rm /tmp/reading
	wait "$reader"
}
t 'trap 37 a reader that is preempted at will delays neither rounds nor reclaim' starved

run_tests
