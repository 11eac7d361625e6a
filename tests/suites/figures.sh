#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What is in a sample, against the kernel's own figure for it; and when it is
# taken.
#
# Suite:
#   kernels  6.1 6.12
#   by-name  *-debug
#   seconds  40
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

hour=period_ms=3600000

# CPU time

# ticks STAT: user and system time in such a file, in ticks of 10 ms. A name in
# parentheses may have blanks.
ticks() {
	sed 's/.*) //' "$1" | awk '{ print $12 + $13 }'
}

# next_row PID: waits for a sample that is not there yet. Sets $row.
next_row() {
	nr=$(($(nr_rows "$1") + 1))
	wait_for 60 has_rows "$nr" "$1" || fail "no sample of $1 in a minute"
	row=$(rows "$1" | sed -n "${nr}p")
}

# bracketed PID [STAT]: the CPU time of its next sample lies between what /proc
# says before, less a tick, and after. That is two numbers, each cut to ticks.
bracketed() {
	low=$(ticks "${2:-/proc/$1/stat}")
	next_row "$1"
	high=$(ticks "${2:-/proc/$1/stat}")
	ours=$(echo "$row" | cpu_ns)
	cmp_int "$ours" -ge $((low * 10000000 - 10000000)) 'ns, after /proc'
	cmp_int "$ours" -le $((high * 10000000 + 20000000)) 'ns, before /proc'
}

cpu_reached() {
	[ "$(rows "$1" | tail -n 1 | cpu_ns)" -ge "$2" ]
}

# used PID MS: waits until its samples say so.
used() {
	wait_for 30 cpu_reached "$1" $(($2 * 1000000)) ||
		fail "$1 does not come to $2 ms of CPU time"
}

never_backwards() {
	awk '
		$4 + 0 < usr[$2] + 0 || $6 + 0 < sys[$2] + 0 {
			print "less than before: " $0
			exit bad = 1
		}
		{ usr[$2] = $4; sys[$2] = $6 }
		END { exit bad }' "$file" || fail 'CPU time went backwards'
}

# A tool that uses CPU time, watched for MS of it.
busy() {
	ms=$1
	shift
	tool "$@"
	add "$pid"
	bracketed "$pid"
	used "$pid" "$ms"
	for _ in 1 2 3; do
		bracketed "$pid"
	done
	never_backwards
}

user() {
	busy 300 spin user
	echo "$row" | awk '{ exit $4 <= $6 }' || fail "more in the kernel: $row"
}
t 'usr and sys of a spinner: its sum as in /proc, mostly usr' user period_ms=50

system() {
	busy 300 spin sys
	echo "$row" | awk '{ exit $6 <= $4 }' || fail "more in user mode: $row"
}
t 'usr and sys of a system call loop: its sum as in /proc, mostly sys' system \
	period_ms=50

many_threads() {
	busy 300 spin user 8
	is "$(echo "$row" | field threads)" 9 'threads'
}
t 'usr and sys of eight threads are those of all of them' many_threads \
	period_ms=50

dead_threads() {
	tool dead-threads 20 10
	add "$pid"
	bracketed "$pid"
	cmp_int "$ours" -ge 200000000 'ns of 20 threads that used 10 ms each'
	is "$(echo "$row" | field threads)" 1 'threads'
	never_backwards
}
t 'usr and sys have the threads in them that died' dead_threads period_ms=50

storm() {
	busy 300 storm
	for _ in 1 2 3 4 5; do
		bracketed "$pid"
	done
	never_backwards
}
t 'usr and sys of a storm of short-lived threads never freeze or fall' storm \
	period_ms=5

one_thread() {
	tool spin user 1
	tid=$(other_threads "$pid")
	add "$tid"
	used "$tid" 200
	for _ in 1 2 3; do
		bracketed "$tid" "/proc/$pid/task/$tid/stat"
	done
	never_backwards
}
t 'usr and sys of one thread are its own' one_thread period_ms=20

leaderless() {
	tool leader-exit
	wait_for 20 has_state "$pid" Z || fail 'the first thread lives'
	add "$pid"
	used "$pid" 200
	bracketed "$pid"
	never_backwards
}
t 'usr and sys go on where the first thread is gone' leaderless period_ms=20

# Memory, threads, state

# new_round PID: its next sample, without waiting for the period.
new_round() {
	stop
	nr=$(($(nr_rows "$1") + 1))
	start
	wait_for 20 has_rows "$nr" "$1" || fail 'no round after start'
}

# as_status PID: the memory, threads and state of its last row, as in status.
as_status() {
	rows "$1" | tail -n 1 | cut -d ' ' -f 7-18 >/tmp/ours
	awk '
		BEGIN { rss = total = stack = data = 0 }
		$1 == "VmSize:" { total = $2 }
		$1 == "VmStk:" { stack = $2 }
		$1 == "VmData:" { data = $2 }
		$1 == "VmRSS:" { rss = $2 }
		$1 == "Threads:" { threads = $2 }
		$1 == "State:" { state = $2 }
		END {
			print "total", total, "stack", stack, "data", data, \
				"rss", rss, "threads", threads, "state", state
		}' "/proc/$1/status" >/tmp/theirs
	is "$(cat /tmp/ours)" "$(cat /tmp/theirs)" "the figures of $1"
}

# like_proc PID STATE: once it is in that state.
like_proc() {
	wait_for 20 has_state "$1" "$2" || fail "$1 is not in state $2"
	new_round "$1"
	as_status "$1"
	is "$(rows "$1" | tail -n 1 | field state)" "$2" "the state of $1"
}

quiet() {
	sleeper
	add "$pid"
	like_proc "$pid" S
	kill -STOP "$pid"
	like_proc "$pid" T
	kill -CONT "$pid"
	like_proc "$pid" S
}
t 'memory, threads and state of a process that sleeps and that is stopped' \
	quiet $hour

# Each time it has mapped more, in another way.
growth() {
	tool map touch 5 touch 12 write 30 none 50 recurse 2 stack 3
	add "$pid"
	for n in 1 2 3 4 5 6; do
		tool_ready "$n"
		like_proc "$pid" S
		rows "$pid" | tail -n 1 >/tmp/row.$n
		kill -USR1 "$pid"
	done
	for n in 2 3 4; do
		cmp_int "$(field total </tmp/row.$n)" -gt \
			"$(field total </tmp/row.$((n - 1)))" 'KiB, having mapped more'
	done
	cmp_int "$(field rss </tmp/row.2)" -ge \
		$(($(field rss </tmp/row.1) + 12000)) 'KiB, having touched 12 MiB'
	cmp_int "$(field data </tmp/row.3)" -ge \
		$(($(field data </tmp/row.2) + 30720)) 'KiB, with 30 MiB of data'
	cmp_int "$(field stack </tmp/row.5)" -ge \
		$(($(field stack </tmp/row.4) + 1000)) 'KiB, with a grown stack'
}
t 'memory of a process that grows, as in /proc at every step' growth $hour

tebibytes() {
	tool map none 20971520 write 20971520
	add "$pid"
	tool_ready 1
	like_proc "$pid" S
	cmp_int "$(rows "$pid" | tail -n 1 | field total)" -ge 21474836480 'KiB mapped'
	kill -USR1 "$pid"
	tool_ready 2
	like_proc "$pid" S
	cmp_int "$(rows "$pid" | tail -n 1 | field data)" -ge 21474836480 'KiB of data'
}
t 'trap 35 20 TiB mapped, and 20 more of data: nothing wraps' tebibytes $hour

wide_stack() {
	tool map stack 2097152
	add "$pid"
	stack=$(awk '$1 == "VmStk:" { print $2 }' "/proc/$pid/status")
	cmp_int "$stack" -ge 2147483648 'KiB of stack in /proc'
	ours=$(rows "$pid" | field stack)
	cmp_int "$ours" -le "$stack" 'KiB of stack'
	# Wrapped it would be next to nothing.
	cmp_int "$ours" -ge 1073741820 'KiB of stack'
}
t 'trap 35 a figure that does not fit its field saturates' wide_stack $hour

threads() {
	tool threads 200
	add "$pid"
	like_proc "$pid" S
	is "$(rows "$pid" | tail -n 1 | field threads)" 201 'threads'
}
t 'threads of a process that has two hundred more' threads $hour

# no_memory PID
no_memory() {
	is "$(rows "$1" | cut -d ' ' -f 7-14 | sort -u)" \
		'total 0 stack 0 data 0 rss 0' "the memory of $1"
}

zombie() {
	tool zombie
	add "$child"
	is "$(rows "$child" | field state)" X 'the state of a zombie'
	no_memory "$child"
	kill -9 "$pid"
	wait_for 20 gone "$child" || fail 'the zombie stays'
	sleeper
	add "$pid"
	new_round "$pid"
	is "$(nr_rows "$child")" 1 'rows when it is reaped'
}
t 'trap 7 a zombie has no memory, and no further rows' zombie $hour

kthread() {
	add 2
	like_proc 2 S
	no_memory 2
	for pid in $(ps -o pid,comm | awk '$2 ~ /^kworker/ { print $1 }'); do
		add "$pid"
	done
	no_memory "$pid"
	# While it samples itself it borrows the memory of a process.
	own=$(kernel_thread)
	add "$own"
	period 10
	wait_for 10 has_rows 5 "$own" || fail 'no five samples in ten seconds'
	no_memory "$own"
}
t 'trap 8 kernel threads have no memory, ours neither' kthread $hour

states() {
	tool spin user
	add "$pid"
	new_round "$pid"
	is "$(rows "$pid" | tail -n 1 | field state)" R 'state of a spinner'
	tool traced
	add "$child"
	like_proc "$child" t
	: >/tmp/vfork
	tmtool vfork >/tmp/vfork &
	kill_at_end $!
	wait_for 20 grep -q ready /tmp/vfork || fail 'no vfork'
	add "$pid"
	like_proc "$pid" D
	for pid in $(ps -o pid,comm | awk '$2 ~ /^kworker/ { print $1 }'); do
		! has_state "$pid" I || break
	done
	add "$pid"
	like_proc "$pid" I
}
t 'state is R, t, D and I where /proc says so' states $hour

leader() {
	tool leader-exit
	add "$pid"
	like_proc "$pid" Z
	is "$(rows "$pid" | tail -n 1 | field threads)" 2 'threads'
}
t 'a process whose first thread is gone, as in /proc' leader $hour

# rename NAME: renames the shell that calls it.
rename() {
	# shellcheck disable=SC2059 # escapes are meant
	printf "$1" >/proc/self/comm
}

# renamed NAME SHOWN: a process that calls itself NAME is shown as SHOWN.
renamed() {
	printf %s "$1" >/tmp/name.new
	mv /tmp/name.new /tmp/name
	wait_for 20 test ! -e /tmp/name || fail "$pid does not rename itself"
	new_round "$pid"
	is "$(rows "$pid" | field comm | uniq)" "$2" "the name of $pid"
	is "$(rows "$pid" | awk 'NF != 22')" '' 'rows with more words, or fewer'
	sed -n "s/^pid $pid .* comm //p" $attribute | uniq >/tmp/name.sysfs
	is "$(cat /tmp/name.sysfs)" "$2" "the name of $pid in sysfs"
}

names() {
	while :; do
		[ ! -e /tmp/name ] || {
			rename "$(cat /tmp/name)"
			rm /tmp/name
		}
		# shellcheck disable=SC3045 # busybox has it
		read -r -t 0.05 _ <&9 || :
	done &
	kill_at_end $!
	add "$pid"
	renamed plain plain
	renamed 'a b' 'a\040b'
	renamed 'new\nline\ttab' 'new\012line\011tab'
	renamed '\\\177\001' '\134\177\001'
	renamed 'pid 7 comm x' 'pid\0407\040comm\040x'
	renamed 'fifteen letters!' 'fifteen\040letters'
	renamed '\303\274' "$(printf '\303\274')"
	renamed '\0' '\000'
	tool spin user 1
	tid=$(other_threads "$pid")
	add "$tid"
	is "$(rows "$tid" | field comm)" "$(cat "/proc/$pid/task/$tid/comm")" \
		'the name of a thread'
}
t 'comm is the latest name, and always one word' names $hour

is_sleep() {
	[ "$(tr '\0' ' ' <"/proc/$1/cmdline")" = 'sleep 100000 ' ]
}

# The thread that executes it takes the PID over; its TID is no more.
exec_thread() {
	tool exec-thread sleep 100000
	tid=$(other_threads "$pid")
	add "$pid"
	add "$tid"
	kill -USR1 "$pid"
	wait_for 20 is_sleep "$pid" || fail 'nothing was executed'
	like_proc "$pid" S
	is "$(rows "$pid" | tail -n 1 | field threads)" 1 'threads'
	is "$(stat_of monitors)" 2 'monitors'
	had=$(nr_rows "$tid")
	new_round "$pid"
	is "$(nr_rows "$tid")" "$had" 'rows of the thread that took the PID over'
	never_backwards
	remove "$tid"
	remove "$pid"
	is "$(rows)" '' 'rows'
}
t 'a process is the same when another of its threads executes something' \
	exec_thread $hour

exec_loop() {
	for _ in 1 2 3 4; do
		tmtool exec-loop "$(scaled 100)" &
		kill_at_end $!
		add "$pid"
	done
	wait_for 120 all_gone || fail 'still executing'
	stop
	is "$(stat_of monitors)" 4 'monitors'
	is "$(rows | cut -d ' ' -f 2 | uniq | wc -l)" 4 'histories'
	never_backwards
	balanced
}
t 'trap 7 sampled all the time while it executes and exits' exec_loop period_ms=1

all_gone() {
	while read -r one; do
		gone "$one" || return
	done <$started
}

# Identity

exited() {
	sleeper
	other=$pid
	add "$other"
	sleeper
	add "$pid"
	wait_for 10 has_rows 3 "$pid" || fail 'no three samples in ten seconds'
	stop
	rows "$pid" >/tmp/history
	kill -9 "$pid"
	wait_for 10 gone "$pid" || fail 'a killed process stays'
	start
	before=$(dmesg | wc -l)
	next_row "$other"
	next_row "$other"
	next_row "$other"
	rows "$pid" | cmp - /tmp/history || fail 'the history changed after the exit'
	is "$(stat_of monitors)" 2 'monitors'
	is "$(dmesg | wc -l)" "$before" 'lines logged'
	stop
	start
	rows "$pid" | cmp - /tmp/history || fail 'the history changed after start'
	is "$(printf %s "$pid" | tmtool write $file)" ESRCH 'adding it again'
	remove "$pid"
	is "$(nr_rows "$pid")" 0 'rows of what was removed'
	is "$(stat_of monitors)" 1 'monitors'
	is "$(printf -- '-%s' "$pid" | tmtool write $file)" ENOENT 'removing it twice'
	balanced
}
t 'trap 7 the history of an exited process stays, as it is, until removed' \
	exited period_ms=10

reused() {
	fork_with_pid 20000 tmtool threads 3
	wait_for 20 test -d /proc/20000/task || fail 'no process 20000'
	wait_for 20 has_threads 20000 4 || fail 'no four threads'
	add 20000
	sleeper
	other=$pid
	add "$other"
	next_row 20000
	# No round may notice that no process had the number for a while.
	stop
	rows 20000 >/tmp/history
	kill -9 20000
	wait_for 10 gone 20000 || fail 'a killed process stays'
	fork_with_pid 20000 sleep 100000
	start
	next_row "$other"
	next_row "$other"
	rows 20000 | cmp - /tmp/history || fail 'the samples go on in the new process'
	add 20000
	is "$(stat_of monitors)" 3 'monitors'
	wait_for 20 has_rows $(($(wc -l </tmp/history) + 3)) 20000 ||
		fail 'the new process is not sampled'
	stop
	rows 20000 >/tmp/both
	head -n "$(wc -l </tmp/history)" /tmp/both | cmp - /tmp/history ||
		fail 'the old history is not in front of the new one'
	is "$(head -n 1 /tmp/both | field threads)" 4 'threads of the one'
	is "$(tail -n "+$(($(wc -l </tmp/history) + 1))" /tmp/both |
		field threads | sort -u)" 1 'threads of the other'
	is "$(rows | field pid | uniq | tr '\n' ' ')" "20000 $other 20000 " \
		'the order of adding'
	remove 20000
	is "$(nr_rows 20000)" 0 'rows of what was removed'
	is "$(stat_of monitors)" 1 'monitors'
	balanced
}
t 'trap 9 a number that is used again never mixes two processes' reused \
	period_ms=10

has_threads() {
	[ "$(awk '$1 == "Threads:" { print $2 }' "/proc/$1/status")" = "$2" ]
}

# in_use: how many processes, PIDs and address spaces the kernel holds.
in_use() {
	awk '$1 ~ /^(task_struct|pid|mm_struct|signal_cache)$/ { print $1, $2 }' \
		/proc/slabinfo
}

# A reference that is never put would keep a thousand of something.
back_to() {
	in_use | awk '
		FNR == NR { before[$1] = $2; next }
		$2 > before[$1] + 250 { exit bad = 1 }
		END { exit bad }' "$1" -
}

references() {
	# Freed objects in KASAN's quarantine are still in use for the allocator.
	[ "$(scaled 100)" = 100 ] || skip 'only where freed memory is free at once'
	[ "$(in_use | wc -l)" = 4 ] || skip 'no slab caches of those names'
	sleeper
	add "$pid"
	tmtool churn $file 100 || fail 'the churn failed'
	in_use >/tmp/in_use
	tmtool churn $file 1000 || fail 'the churn failed'
	wait_for 20 back_to /tmp/in_use ||
		fail "in use: $(cat /tmp/in_use), and after that: $(in_use)"
	stop
	is "$(stat_of monitors)" 1 'monitors'
	balanced
}
t 'traps 7, 10 1000 processes added, killed and removed leave nothing behind' \
	references period_ms=1

# Time

first_time() {
	sleeper
	printf %s "$pid" | tmtool timed-write $file >/tmp/bracket
	is "$(nr_rows "$pid")" 1 'rows when write(2) returns'
	read -r early late_ </tmp/bracket
	time=$(rows "$pid" | field time)
	cmp_int "$time" -ge "$early" 'time of the first sample, after the clock'
	cmp_int "$time" -le "$late_" 'time of the first sample, before the clock'
	stop
	sleeper
	add "$pid"
	is "$(nr_rows "$pid")" 0 'rows of what is added while stopped'
	start
	wait_for 10 has_rows 1 "$pid" || fail 'no round after start'
}
t 'the first sample is there when write(2) returns, with the time of that' \
	first_time $hour

# More PIDs than a slice.
rounds() {
	stop
	monitored_crowd 50
	start
	wait_for 20 has_rows 500 || fail 'no ten rounds in 20 seconds'
	stop
	rows | awk '
		$2 != pid { pid = $2; time = 0 }
		$20 + 0 <= time + 0 { print "not newer: " $0; bad = 1 }
		{ time = $20; seen[time]++ }
		END {
			for (i in seen)
				if (seen[i] != 50) {
					print seen[i] " samples at " i
					bad = 1
				}
			exit bad
		}' || fail 'a round has not one time'
	cmp_int "$(stat_of tick_ns)" -gt 0 'ns that a round takes'
	cmp_int "$(stat_of tick_ns_max)" -ge "$(stat_of tick_ns)" 'ns, the longest'
}
t 'time is that of the round for all its PIDs, and rises' rounds period_ms=10

# kept_time PID MS: the rows that it got since the last start, with the periods
# missed, fill the time from the first to the last of them. After the last row
# some more may have been missed, which are counted, too.
kept_time() {
	stop
	rows "$1" >/tmp/rows
	due=$(($(wc -l </tmp/rows) - 1 + $(stat_of late) - late_before))
	passed=$(field time </tmp/rows | awk -v ms="$2" '
		NR == 1 { first = $1 }
		END { print int(($1 - first) / (ms * 1000000)) }')
	cmp_int "$passed" -le "$due" 'periods passed, with those sampled or missed'
	cmp_int "$passed" -ge $((due - 10)) 'periods passed'
}

# timed: one PID, from whose first sample on time is kept.
timed() {
	stop
	sleeper
	add "$pid"
	watched=$pid
	late_before=$(stat_of late)
	start
}

no_drift() {
	timed
	wait_for 60 has_rows 300 "$watched" || fail 'no 300 samples in a minute'
	kept_time "$watched" 5
}
t 'trap 30 deadlines do not drift over 300 rounds' no_drift period_ms=5

stalled() {
	timed
	for _ in 1 2 3 4 5 6; do
		next_row "$watched"
		next_row "$watched"
		tmtool stall 130
	done
	next_row "$watched"
	kept_time "$watched" 20
	# Six full periods at least fit a stall, one of which is not missed.
	cmp_int $(($(stat_of late) - late_before)) -ge 24 'periods missed'
}
t 'trap 30 a stall counts every missed period once and keeps the phase' \
	stalled period_ms=20

undisturbed() {
	crowd 30
	timed
	while read -r pid; do
		pause_ms 15
		add "$pid"
	done </tmp/crowd
	next_row "$watched"
	kept_time "$watched" 20
	rows | awk -v watched="$watched" '
		$2 == watched { theirs[$20]; next }
		$2 != pid && $20 in theirs { print "not its own time: " $0; bad = 1 }
		{ pid = $2 }
		END { exit bad }' || fail 'adding one takes a sample of another'
}
t 'adding a PID does not disturb the period of the others' undisturbed \
	period_ms=20

period_change() {
	sleeper
	add "$pid"
	period 10
	wait_for 10 has_rows 5 "$pid" || fail 'an hour is waited for'
	period 3600000
	# A round may be under way.
	pause_ms 50
	nr=$(nr_rows "$pid")
	pause_ms 150
	is "$(nr_rows "$pid")" "$nr" 'rows, an hour from the next'
	period 20
	wait_for 10 has_rows $((nr + 5)) "$pid" || fail 'an hour is waited for'
}
t 'a new period takes effect at once, in both directions' period_change $hour

# The cap and the ledger

cap() {
	for _ in 1 2; do
		sleeper
		add "$pid"
	done
	last=$pid
	wait_for 20 has_rows 60 || fail 'no sixty samples in 20 seconds'
	stop
	rows >/tmp/all
	cat $stats >/tmp/stats
	echo 10 >$parameters/max_samples
	cmp $stats /tmp/stats || fail 'the statistics changed before a new sample'
	rows | cmp - /tmp/all || fail 'the history changed before a new sample'
	before=$(stat_of samples)
	period 3600000
	start
	wait_for 10 stat_is samples -eq 20 || fail 'the cap is not applied'
	stop
	is "$(stat_of capped)" $((before + 2 - 20)) 'samples dropped for the cap'
	while read -r pid; do
		is "$(nr_rows "$pid")" 10 'rows of a PID'
		# The nine newest of before, and a new one.
		rows "$pid" | head -n 9 >/tmp/kept
		grep "^pid $pid " /tmp/all | tail -n 9 | cmp - /tmp/kept ||
			fail 'not the newest are kept'
	done <$started
	balanced
	echo 0 >$parameters/max_samples
	period 10
	start
	wait_for 10 has_rows 15 "$last" || fail 'a cap of 0 is still one'
}
t 'max_samples drops the oldest of each PID, at its next sample' cap period_ms=10

ledger() {
	monitored_crowd 20
	wait_for 20 stat_is samples -ge 400 || fail 'no 400 samples in 20 seconds'
	stop
	balanced
	is "$(stat_of samples)" "$(nr_rows)" 'samples in the histories'
	is "$(stat_of bytes)" $((64 * $(stat_of samples))) 'bytes'
	is "$(stat_of taken)" "$(stat_of samples)" 'samples ever taken'
	drop_caches
	balanced
	is "$(stat_of samples)" "$(nr_rows)" 'samples after reclaim'
	is $(($(stat_of taken) - $(stat_of reclaimed))) "$(stat_of samples)" \
		'samples that were not reclaimed'
	left=$(nr_rows "$(head -n 1 /tmp/crowd)")
	remove "$(head -n 1 /tmp/crowd)"
	is "$(stat_of removed)" "$left" 'samples removed'
	is "$(stat_of monitors)" 19 'monitors'
	balanced
	is "$(stat_of samples)" "$(nr_rows)" 'samples after removing'
	for counter in capped recycled dropped; do
		is "$(stat_of $counter)" 0 "samples $counter"
	done
	while read -r pid; do
		remove "$pid" 2>/dev/null
	done </tmp/crowd
	is "$(stat_of monitors) $(stat_of samples) $(stat_of bytes)" '0 0 0' \
		'monitors, samples and bytes after removing all'
	balanced
}
t 'the statistics say what became of every sample' ledger period_ms=5

log_of() {
	dmesg | grep -c "taskmonitor: $1\$"
}

start_stop() {
	dmesg -c >/dev/null
	sleeper
	add "$pid"
	new_round "$pid"
	is "$(log_of 'halting monitor thread')" 1 'lines about stop'
	is "$(log_of 'starting monitor thread')" 1 'lines about start'
	start
	is "$(kernel_thread | wc -w)" 1 'threads after a second start'
	stop
	stop
	is "$(log_of 'halting monitor thread')" 2 'lines about stop'
	is "$(log_of 'starting monitor thread')" 1 'lines about start'
	! kernel_thread || fail 'a thread after stop'
	nr=$(nr_rows "$pid")
	period 1
	pause_ms 100
	is "$(nr_rows "$pid")" "$nr" 'rows while stopped'
	is "$(cat $attribute | wc -l)" "$nr" 'rows in sysfs while stopped'
	is "$(dmesg | wc -l)" 3 'lines logged in all'
}
t 'stop and start: a round at once, one line each, none for a second one' \
	start_stop $hour

run_tests
