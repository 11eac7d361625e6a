#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The end of what is monitored: one last row, at once, with what wait4(2) tells
# of it.
#
# Suite:
#   kernels  6.12 6.1-rt newest-debug
#   by-name  *-rt *-debug *-kcsan
#   seconds  30
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

hour=period_ms=3600000

# final PID: its final row; sets $row. Nothing comes after it.
final() {
	wait_for 20 has_final "$1" || fail "no final row of $1: $(rows "$1")"
	row=$(rows "$1" | tail -n 1)
	is "$(rows "$1" | field state | grep -c X)" 1 "rows of $1 in state X"
	is "$(echo "$row" | field state)" X "the last state of $1"
	is "$(echo "$row" | cut -d ' ' -f 7-16)" \
		'total 0 stack 0 data 0 rss 0 threads 0' "the memory of $1"
	is "$(echo "$row" | cut -d ' ' -f 21,23,25)" 'exit peak comm' \
		"the last words of $1"
}

no_final() {
	! rows | grep ' state X ' || fail 'a final row'
}

ended_said() {
	grep -q '^ended' "$tool_out"
}

# ends HOW ARG: a child that is monitored ends so. Sets $child, $row, and what the
# parent was told: $status $cpu $peak $at.
ends() {
	tool end "$@"
	[ -n "$late" ] || add "$child"
	kill -USR1 "$child"
	wait_for 60 ended_said || fail "no end: $*"
	read -r _ status cpu peak at <<-END
		$(grep '^ended' "$tool_out")
	END
	final "$child"
}
late=

# as_told CPU: the final row is what the parent was told, but for a tick of 4 ms.
as_told() {
	is "$(echo "$row" | field exit)" "$status" 'the wait status'
	is "$(echo "$row" | field peak)" "$peak" 'KiB resident at the most'
	off=$(($(echo "$row" | cpu_ns) - $1))
	cmp_int "$off" -le 4000000 'ns more than wait4() tells'
	cmp_int "$off" -ge -4000000 'ns less than wait4() tells'
}

told() {
	ends exit 0
	as_told "$cpu"
	is "$status" 0 'status'
	ends exit 37
	as_told "$cpu"
	is "$status" $((37 << 8)) 'status'
	ends signal 9
	as_told "$cpu"
	is "$status" 9 'status'
	ends signal 11
	as_told "$cpu"
	ends spin 150
	as_told "$cpu"
	cmp_int "$cpu" -ge 150000000 'ns that were used'
	ends map 24
	as_told "$cpu"
	cmp_int "$peak" -ge 24576 'KiB resident at the most'
	is "$(stat_of ended)" 6 'final rows'
	is "$(stat_of taken)" 12 'samples: the first and the final ones'
	is "$(stat_of monitors)" 6 'monitors'
	balanced
}
t 'the final row is what wait4(2) tells: status, peak, CPU time' told $hour

# What its own children used, and wait4() adds, is not its own.
family() {
	ends family 200
	children=$(sed -n 's/^children //p' "$tool_out")
	cmp_int "$children" -ge 400000000 'ns of the children'
	is "$(echo "$row" | field exit)" "$status" 'the wait status'
	off=$(($(echo "$row" | cpu_ns) - (cpu - children)))
	cmp_int "$off" -le 4000000 'ns more than its own'
	cmp_int "$off" -ge -4000000 'ns less than its own'
}
t 'the final row leaves out the children of the process' family $hour

threads() {
	ends threads 20
	as_told "$cpu"
	cmp_int "$cpu" -ge 400000000 'ns of 20 threads'
	is "$(stat_of ended)" 1 'final rows'
	for _ in 1 2 3 4; do
		ends threads 3
		as_told "$cpu"
	done
	is "$(stat_of ended)" 5 'final rows'
}
t 'many threads that exit at once are one end' threads $hour

leader() {
	tool end leader 400
	add "$child"
	kill -USR1 "$child"
	wait_for 20 has_state "$child" Z || fail 'the first thread lives'
	add_row=$(nr_rows "$child")
	stop
	start
	wait_for 20 has_rows $((add_row + 1)) "$child" || fail 'no round'
	is "$(rows "$child" | tail -n 1 | field threads)" 2 \
		'threads of a process without its first'
	no_final
	kill -USR1 "$child"
	wait_for 60 ended_said || fail 'no end'
	read -r _ status cpu peak at <<-END
		$(grep '^ended' "$tool_out")
	END
	final "$child"
	as_told "$cpu"
	cmp_int "$cpu" -ge 400000000 'ns of the last thread'
}
t 'a process ends with its last thread, not with its first' leader $hour

one_thread() {
	tool spin user 1
	tid=$(other_threads "$pid")
	add "$tid"
	add "$pid"
	kill -9 "$pid"
	final "$tid"
	is "$(echo "$row" | field exit)" 9 'the exit code of the thread'
	is "$(echo "$row" | field peak)" 0 'KiB'
	final "$pid"
	is "$(echo "$row" | field exit)" 9 'the wait status of the process'
	is "$(stat_of ended)" 2 'final rows'
	tool end leader 300
	kill -USR1 "$child"
	wait_for 20 has_state "$child" Z || fail 'the first thread lives'
	tid=$(other_threads "$child")
	add "$tid"
	kill -USR1 "$child"
	wait_for 60 ended_said || fail 'no end'
	final "$tid"
	is "$(echo "$row" | field exit)" $((6 << 8)) 'the exit code of the thread'
	cmp_int "$(echo "$row" | cpu_ns)" -ge 300000000 'ns of the thread'
}
t 'a monitored thread has a final row with its own code and CPU time' one_thread $hour

executes() {
	tool exec-thread sleep 100000
	add "$pid"
	kill -USR1 "$pid"
	wait_for 20 test "$(cat "/proc/$pid/comm")" = sleep ||
		wait_for 20 grep -q sleep "/proc/$pid/comm" || fail 'nothing was executed'
	no_final
	kill -9 "$pid"
	final "$pid"
	is "$(echo "$row" | field comm)" sleep 'the latest name'
	is "$(echo "$row" | field exit)" 9 'the wait status'
	ends exec 100
	as_told "$cpu"
	is "$(rows "$child" | field comm | uniq)" true 'the latest name'
	is "$(nr_rows "$child")" 2 'rows'
}
t 'a process is the same when it executes something, and ends once' executes $hour

zombie() {
	tool zombie
	add "$child"
	final "$child"
	is "$(nr_rows "$child")" 1 'rows of a zombie'
	is "$(printf %s "$child" | tmtool write $file)" EEXIST 'adding it again'
	stop
	start
	sleeper
	other=$pid
	add "$other"
	is "$(nr_rows "$child")" 1 'rows of a zombie, after a round'
	stop
	tool zombie
	add "$child"
	start
	wait_for 20 has_rows 2 "$other" || fail 'no round'
	is "$(nr_rows "$child")" 0 'rows of one that was added while sampling was stopped'
	is "$(stat_of ended)" 1 'final rows'
}
t 'trap 7 added as a zombie it gets one row, its final one' zombie $hour

# Its final row waits for a millisecond, and the stop does not.
just_before() {
	for i in 1 2 3 4 5 6 7 8 9 10; do
		tmtool end-stop $file $attribute || fail 'no end, or no stop'
		is "$(rows | grep -c ' state X ')" "$i" 'final rows'
		start
	done
	is "$(stat_of ended)" 10 'final rows, as counted'
	balanced
}
t 'what ends just before sampling is stopped has its final row' just_before $hour

stopped() {
	tool end exit 0
	add "$child"
	stop
	kill -USR1 "$child"
	wait_for 20 ended_said || fail 'no end'
	sleeper
	add "$pid"
	start
	wait_for 20 has_rows 1 "$pid" || fail 'no round'
	no_final
	is "$(stat_of ended)" 0 'final rows'
	is "$(nr_rows "$child")" 1 'rows of what ended: its first'
	kill -9 "$pid"
	final "$pid"
}
t 'what ends while sampling is stopped gets no final row, nor a sample' stopped $hour

# The last thing before a stop: it is not lost.
stop_at_once() {
	for _ in 1 2 3 4; do
		tool end exit 3
		add "$child"
		kill -USR1 "$child"
		wait_for 20 ended_said || fail 'no end'
		stop
		final "$child"
		start
	done
	is "$(stat_of ended)" 4 'final rows'
}
t 'what has ended before sampling is stopped has its final row' stop_at_once $hour

apart() {
	sleeper
	other=$pid
	add "$other"
	wait_for 20 stat_is tick_ns -gt 0 || fail 'no round'
	grep -E '^(late|tick)' $stats >/tmp/before
	had=$(nr_rows "$other")
	ends exit 1
	ends exit 2
	grep -E '^(late|tick)' $stats | cmp - /tmp/before || fail 'a round of its own is no round'
	is "$(nr_rows "$other")" "$had" 'rows of another process'
	best=1000000000
	for _ in 1 2 3 4 5; do
		ends exit 1
		took=$(($(echo "$row" | field time) - at))
		[ "$took" -gt "$best" ] || best=$took
	done
	cmp_int "$best" -le 100000000 'ns from the end to its row, the best of five'
}
t 'final rows need no period, and come soon' apart $hour

reclaimed() {
	tmtool leave $file 200
	wait_for 20 stat_is ended -eq 200 || fail "$(stat_of ended) of 200 final rows"
	is "$(stat_of monitors)" 200 'monitors'
	wait_for 60 few_samples 8 || fail "$(stat_of samples) samples stay"
	cmp_int "$(stat_of monitors)" -le "$(stat_of samples)" 'entries without a sample'
	balanced
}

t 'the entry of an ended process goes with its last sample' reclaimed $hour

tracing=/sys/kernel/tracing
event=$tracing/events/taskmonitor/task_sample

# events: what was traced, as rows.
events() {
	sed -n 's/.*: task_sample: //p' $tracing/trace
}

traced() {
	[ -d $tracing/events ] || skip 'no tracing in this kernel'
	[ -d $event ] || fail 'no such event'
	: >$tracing/trace
	ends exit 1
	is "$(events)" '' 'events when none are asked for'
	echo 1 >$event/enable
	ends map 4
	echo 0 >$event/enable
	rows "$child" | sed '/ exit /!s/ comm / exit 0 peak 0 comm /' >/tmp/rows
	is "$(events)" "$(cat /tmp/rows)" 'what was traced of two samples'
	is "$(wc -l </tmp/rows)" 2 'rows'
}
t 'the event has what the row has, once for each sample' traced $hour

filtered() {
	[ -d $event ] || skip 'no tracing in this kernel'
	sleeper
	one=$pid
	sleeper
	add "$one"
	add "$pid"
	: >$tracing/trace
	echo "pid == $one && rss > 0" >$event/filter
	[ ! -e $event/hist ] || echo 'hist:keys=pid:vals=usr' >$event/trigger
	echo 1 >$event/enable
	stop
	start
	wait_for 20 stat_is taken -ge 4 || fail 'no round'
	wait_for 20 has_rows 2 "$pid" || fail 'no row'
	is "$(events | field pid)" "$one" 'PIDs of events'
	[ ! -e $event/hist ] || grep -q "pid: *$pid" $event/hist || fail 'no histogram'
	# The kernel itself complains of a module that goes under a histogram.
	[ ! -e $event/hist ] || echo '!hist:keys=pid:vals=usr' >$event/trigger
	# With the event enabled, and its filter there.
	rmmod taskmonitor || fail 'rmmod failed'
	[ ! -d $event ] || fail 'the event stays'
}
t 'the event can be filtered, and goes with the module' filtered $hour

references() {
	before=$(tasks)
	tmtool churn $file 320
	tmtool leave $file 100
	# Ended, and removed before the thread has looked.
	for _ in 1 2 3; do
		crowd 20
		while read -r one; do
			add "$one"
		done </tmp/crowd
		kill -9 "$pid"
		while read -r one; do
			remove "$one" || :
		done </tmp/crowd
	done
	wait_for 60 few_tasks $((before + 40)) || fail "$(tasks) tasks, $before before"
	stop
	wait_for 60 few_tasks $((before + 40)) || fail "$(tasks) tasks, $before before"
}
t 'trap 10 no reference to a task is left' references period_ms=10

# die_and_unload: a crowd exits while the module goes.
die_and_unload() {
	load period_ms=10
	crowd 40
	keeper=$pid
	while read -r one; do
		add "$one"
	done </tmp/crowd
	for one in 1 2 3; do
		tmtool forks 100000 &
		kill_at_end $!
		add "$!"
	done
	kill -9 "$keeper"
	wait_for 20 rmmod taskmonitor || fail 'rmmod failed'
	nothing_left
	while read -r one; do
		kill -9 "$one" || :
	done <$started
	: >$started
}

unload() {
	for _ in 1 2 3 4; do
		die_and_unload
	done
}
t 'trap 5 the module is unloaded while processes exit' unload -

run_tests
