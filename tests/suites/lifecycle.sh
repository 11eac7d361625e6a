#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Loading, unloading, starting and stopping, idle and in full use.
#
# Suite:
#   kernels  6.1 6.12+full 6.12-rt
#   by-name  *-debug *-rt *-kcsan
#   seconds  45
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

unload() {
	rmmod taskmonitor || fail 'rmmod failed'
	! loaded || fail 'rmmod succeeded, and the module is there'
}

# at_once COMMAND...: the limit is far from an hour, and far from this machine's
# slowest.
at_once() {
	began=$(uptime_cs)
	"$@"
	cmp_int "$(($(uptime_cs) - began))" -lt 1000 "hundredths of a second of $1"
}

# logged TEXT: how many lines of the module's have it.
logged() {
	dmesg | grep -c "taskmonitor: $1"
}

# work NR: what a load is good for, a little different each time.
work() {
	while read -r p; do
		add "$p"
	done </tmp/crowd
	wait_for 20 stat_is samples -ge 60 || fail 'no 60 samples'
	[ $(($1 % 3)) -ne 0 ] || rows >/dev/null
	[ $(($1 % 4)) -ne 0 ] || stop
	[ $(($1 % 5)) -ne 0 ] || drop_caches
	[ $(($1 % 6)) -ne 0 ] || remove "$(head -n 1 /tmp/crowd)"
	[ $(($1 % 7)) -ne 0 ] || remove 1
}

# What the kernel cannot give back.
kernel_kib() {
	echo 3 >/proc/sys/vm/drop_caches
	awk '/^(SUnreclaim|Percpu):/ { n += $2 } END { print n }' /proc/meminfo
}

cycles() {
	i=0
	while [ "$i" -lt "$1" ]; do
		load period_ms=1 target=1
		work "$i"
		unload
		nothing_left
		i=$((i + 1))
	done
}

# Sets $rise: how many KiB more the kernel holds after N loads.
rise_of() {
	was=$(kernel_kib)
	cycles "$1"
	rise=$(($(kernel_kib) - was))
}

# What leaks does so every time: a page a load would be 80 KiB, and so would a
# monitor a process. What the kernel caches comes and goes.
many_loads() {
	crowd 40
	cycles 30
	rises=
	for _ in 1 2 3 4 5; do
		rise_of 20
		rises="$rises $rise"
		[ "$rise" -ge 60 ] || break
	done
	note "KiB more after twenty loads and unloads each:$rises"
	cmp_int "$rise" -lt 60 'KiB of kernel memory more after twenty loads'
}
t 'T1Q4 trap 19 fifty loads and unloads leave nothing behind, and memory is flat' many_loads -

hold_open() {
	exec 5<"$1"
	! rmmod taskmonitor 2>/tmp/error || fail "rmmod succeeded with $1 open"
	loaded || fail 'the module is gone'
	stop
	start
	was=$(stat_of taken)
	wait_for 20 stat_is taken -gt "$was" || fail 'no sample after rmmod failed'
	cat <&5 >/tmp/read
	exec 5<&-
}

busy() {
	sleeper
	add "$pid"
	wait_for 20 stat_is samples -ge 10 || fail 'no ten samples'
	hold_open "$stats"
	hold_open "$file"
	[ -s /tmp/read ] || fail 'nothing could be read'
	unload
	nothing_left
}
t 'trap 17 rmmod is refused while the file is open, all works on, then it succeeds' busy period_ms=10

attribute_open() {
	exec 5<"$attribute"
	unload
	! cat <&5 2>/tmp/error || fail 'the attribute of no module can be read'
	grep -q 'No such device' /tmp/error || fail "reading it: $(cat /tmp/error)"
	exec 5<&-
	nothing_left
}
t 'trap 17 an attribute held open does not keep rmmod waiting, and says ENODEV' attribute_open

unload_sampling() {
	monitored_crowd 50
	wait_for 60 stat_is taken -ge "$(scaled 20000)" || fail 'too few samples'
	at_once unload
	nothing_left
	load period_ms=1
	add 1
	wait_for 20 stat_is taken -ge 10 || fail 'no ten rounds'
}
t 'T1Q4 rmmod while 50 processes are sampled every millisecond' unload_sampling period_ms=1

long_period() {
	sleeper
	add "$pid"
	at_once stop
	at_once start
	at_once period 3599999
	at_once unload
}
t 'trap 28 with a period of an hour stop, start and rmmod return at once' long_period period_ms=3600000

# The longest round is remembered when shorter ones have followed.
longest_round() {
	monitored_crowd 200
	wait_for 20 stat_is taken -ge 2000 || fail 'no samples'
	stop
	longest=$(stat_of tick_ns_max)
	while read -r p; do
		remove "$p"
	done </tmp/crowd
	sleeper
	add "$pid"
	taken=$(stat_of taken)
	start
	wait_for 20 stat_is taken -ge "$((taken + 10))" || fail 'no samples'
	stop
	cmp_int "$(stat_of tick_ns)" -gt 0 'ns of the last round'
	cmp_int "$(stat_of tick_ns_max)" -ge "$longest" 'ns of the longest round'
	cmp_int "$(stat_of tick_ns)" -le "$(stat_of tick_ns_max)" 'ns of the last round'
}
t 'tick_ns_max is the longest round, not the last' longest_round period_ms=10

nice_level() {
	is "$(cut -d ' ' -f 19 "/proc/$(kernel_thread)/stat")" -20 'nice level'
	stop
	start
	is "$(cut -d ' ' -f 19 "/proc/$(kernel_thread)/stat")" -20 'nice level after a start'
}
t 'the kthread does not wait for the end of a busy task'"'"'s slice' nice_level

named() {
	is "$(kthreads)" 1 'kthreads called taskmonitor'
	is "$(cat "/proc/$(kernel_thread)/comm")" taskmonitor 'name'
	is "$(cat "/proc/$(kernel_thread)/cmdline")" '' 'command line of a kthread'
	pause_ms 50
	is "$(sed -n 's/^State:.\(.\).*/\1/p' "/proc/$(kernel_thread)/status")" \
		I 'state while it waits'
	stop
	is "$(kthreads)" 0 'kthreads after stop'
	start
	is "$(kthreads)" 1 'kthreads after start'
}
t 'the kthread is called taskmonitor, idles, and is there from start to stop' named period_ms=3600000

# toggle: as a shell that races with others would.
toggle() {
	start
	stop
	start
	start
	stop
	stop
	echo >>/tmp/toggles
}

watch_kthreads() {
	kthreads >>/tmp/kthreads
}

one_kthread() {
	: >/tmp/toggles
	: >/tmp/kthreads
	for i in 1 2 3 4; do
		loop toggle
	done
	loop watch_kthreads
	wait_for 60 awk 'END { exit NR < 200 }' /tmp/toggles ||
		fail "$(wc -l </tmp/toggles) rounds of start and stop in a minute"
	end_loops
	cmp_int "$(sort -n /tmp/kthreads | tail -n 1)" -le 1 'kthreads at a time'
	start
	is "$(kthreads)" 1 'kthreads after a start'
	stop
	is "$(kthreads)" 0 'kthreads after a stop'
	start
	add 1
	was=$(stat_of taken)
	wait_for 20 stat_is taken -gt "$was" || fail 'nothing is sampled'
	at_once unload
}
t 'trap 21 start and stop from four shells: never two kthreads' one_kthread period_ms=1

# The writer does not know whether the module is there.
write_parameters() {
	for ms in 1 20 3600000; do
		echo "$ms" >"$parameters/period_ms"
		echo "$ms" >"$parameters/max_samples"
	done
} 2>/dev/null

write_files() {
	echo 1 >"$file"
	echo start >"$attribute"
	cat "$file" "$stats" "$attribute"
	echo stop >"$attribute"
	echo -1 >"$file"
} >/dev/null 2>&1

load_unload() {
	i=0 unloads=0
	while [ "$i" -lt 20 ]; do
		i=$((i + 1))
		loaded || load period_ms=1 target=1
		# Files that are open just now make it fail.
		! rmmod taskmonitor 2>/dev/null || unloads=$((unloads + 1))
	done
	end_loops
	! loaded || unload
	nothing_left
	note "$unloads of 20 attempts at rmmod succeeded"
	cmp_int "$unloads" -ge "$1" 'times that rmmod succeeded'
	load
}

parameter_race() {
	loop write_parameters
	loop write_parameters
	load_unload 20
}
t 'trap 32 parameters are written while the module is loaded and unloaded' parameter_race -

file_race() {
	loop write_files
	load_unload 1
}
t 'trap 20 the files are used while the module is loaded and unloaded' file_race -

killed_target() {
	sleeper
	victim=$pid
	sleeper
	add "$victim"
	add "$pid"
	wait_for 20 has_rows 3 "$victim" || fail 'no samples'
	kill -9 "$victim"
	wait_for 20 gone "$victim" || fail 'the target lives on'
	is "$(kthreads)" 1 'kthreads after the target is gone'
	was=$(stat_of taken)
	wait_for 20 stat_is taken -ge "$((was + 3))" || fail 'sampling has ended'
	has_rows 3 "$victim" || fail 'the history of the exited process is gone'
	stop
	start
	was=$(stat_of taken)
	wait_for 20 stat_is taken -gt "$was" || fail 'sampling does not start'
	kill -9 "$pid"
	wait_for 20 gone "$pid" || fail 'the target lives on'
	pause_ms 100
	is "$(kthreads)" 1 'kthreads when all targets are gone'
	stop
	is "$(kthreads)" 0 'kthreads after stop'
	start
	at_once unload
	nothing_left
}
t 'trap 21 the targets are killed, then stop, start, rmmod' killed_target period_ms=10

none_blocked() {
	! grep -q '^State:.D' /proc/[0-9]*/status 2>/dev/null
}

storm_add() {
	while read -r p; do
		add "$p"
		remove "$p"
		add "$p"
	done </tmp/crowd
	echo add >>/tmp/done
} 2>/dev/null

storm_kill() {
	for i in 1 2 3 4; do
		sleep 100000 &
		add $!
		[ "$i" = 3 ] || kill -9 $!
		[ "$i" = 2 ] || remove $!
		kill -9 $!
		wait $!
	done
	echo kill >>/tmp/done
} 2>/dev/null

storm_read() {
	cat "$file" "$stats" "$attribute" >/dev/null
	dd if="$file" bs=1 count=500 of=/dev/null status=none
	echo read >>/tmp/done
}

storm_reclaim() {
	drop_caches
	echo reclaim >>/tmp/done
}

storm_control() {
	stop
	period 2
	start
	echo 100 >"$parameters/max_samples"
	period 1
	echo 0 >"$parameters/max_samples"
	echo control >>/tmp/done
}

# stormed N: everybody has come round so often.
stormed() {
	for what in add kill read reclaim control; do
		[ "$(grep -c "$what" /tmp/done)" -ge "$1" ] || return 1
	done
}

storm() {
	: >/tmp/done
	crowd 20
	for what in add kill read read reclaim control; do
		loop "storm_$what"
	done
	pause_ms 7000
	wait_for 120 stormed 10 || fail "$(sort /tmp/done | uniq -c)"
	end_loops
	wait_for 20 none_blocked || fail 'a task is in uninterruptible sleep'
	balanced
	is "$(kthreads)" 1 'kthreads'
	while read -r p; do
		add "$p" 2>/dev/null || :
	done </tmp/crowd
	was=$(stat_of taken)
	wait_for 20 stat_is taken -gt "$((was + 20))" || fail 'nothing is sampled'
	at_once unload
	nothing_left
}
t 'trap 5 adding, removing, killing, reclaim, reading, stop and start in parallel' storm period_ms=1

failed_loads() {
	load_fails EINVAL period_ms=0
	load_fails EINVAL period_ms=3600001
	load_fails EINVAL reserve=0
	load_fails EINVAL reserve=65537
	load_fails EINVAL max_samples=-1
	load_fails EINVAL target=x
	load_fails ESRCH 'period_ms=5 target=4194304'
	sleeper
	kill -9 "$pid"
	wait "$pid" 2>/dev/null || :
	load_fails ESRCH "period_ms=5 target=$pid"
	load target=1 period_ms=10
	wait_for 20 has_rows 3 1 || fail 'no samples after a load that succeeds'
}
t 'trap 20 a load that fails leaves nothing, and the next one works' failed_loads -

target_sampled() {
	load target=1 period_ms=3600000
	cmp_int "$(nr_rows 1)" -ge 1 'rows of init right after the load'
	period 10
	wait_for 20 has_rows 5 1 || fail 'no samples of init'
	is "$(stat_of monitors)" 1 'processes monitored'
}
t 'target= is sampled from load on' target_sampled -

log_lines() {
	dmesg -c >/dev/null
	load target=1 period_ms=1
	wait_for 20 stat_is taken -ge 50 || fail 'no 50 samples are taken'
	is "$(logged '')" 1 'lines logged by a load and sampling'
	is "$(logged 'loaded: sizeof(struct task_sample) 64')" 1 'lines about the load'
	for i in 1 2; do
		stop
		stop
	done
	is "$(logged 'halting monitor thread')" 1 'lines about stop'
	start
	start
	is "$(logged 'starting monitor thread')" 1 'lines about start'
	unload
	is "$(logged 'unloaded')" 1 'lines about the unload'
	is "$(logged '')" 4 'lines logged in all'
}
t 'one line is logged at load, stop, start and unload each, and no other' log_lines -

run_tests
