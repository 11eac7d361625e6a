#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# taskmonitor_pipe: what is sampled from its opening on, each row once, as it comes.
#
# Suite:
#   kernels  6.1 6.12 newest-debug
#   by-name  *-rt *-debug *-kcsan
#   seconds  40
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

pipe=/sys/kernel/debug/taskmonitor_pipe
hour=period_ms=3600000
got=/tmp/got

# The rows that wait in the pipe at FD 7, added to $got.
rest() {
	tmtool pipe-rest <&7 >>"$got" || fail 'the pipe cannot be read'
}

# A name may change after a row was read.
without_name() {
	sed 's/ comm .*//'
}

# only_in_second FILE FILE: its first lines that the first file has not.
only_in_second() {
	awk 'NR == FNR { first[$0]; next } !($0 in first)' "$1" "$2" | head -n 2
}

# same_rows FILE: it is the history but for the order of PIDs, each row once.
same_rows() {
	without_name <"$1" | sort >/tmp/one
	rows | without_name | sort >/tmp/other
	cmp -s /tmp/one /tmp/other
}

# all_got FILE: the rows in it are the history, and in order within each PID.
all_got() {
	wait_for "${2:-20}" same_rows "$1" || {
		echo "$(wc -l </tmp/one) rows read, $(wc -l </tmp/other) in the history"
		only_in_second /tmp/other /tmp/one
		only_in_second /tmp/one /tmp/other
		fail 'the pipe has not all rows once'
	}
	bad=$(awk '$2 in time && $20 + 0 <= time[$2] + 0 { print "after " time[$2] ": " $0 }
		{ time[$2] = $20 }' "$1" | head -n 3)
	[ -z "$bad" ] || fail "$bad"
}

# from_here: opens the pipe at FD 7; $got begins with what was sampled before.
from_here() {
	stop
	rows >"$got"
	exec 7<$pipe
	start
}

# round_by_round FILE: no row is older than the one before it.
round_by_round() {
	bad=$(awk '$20 + 0 < last + 0 { print "after " last ": " $0 }
		{ last = $20 }' "$1" | head -n 3)
	[ -z "$bad" ] || fail "$bad"
}

# another_round: one more sample of every living one; sampling goes on.
another_round() {
	taken=$(stat_of taken)
	stop
	start
	wait_for 20 stat_is taken -ge $((taken + $1)) || fail 'no round'
	# A writer waits for the end of the round.
	echo -1 >$file 2>/dev/null || :
}

begins() {
	sleeper
	add "$pid"
	exec 7<$pipe
	rest
	is "$(wc -c <"$got")" 0 'bytes of rows from before the opening'
	another_round 1
	exec 8<$pipe
	rest
	is "$(cat "$got")" "$(rows | tail -n 1)" 'the row that is newer'
	is "$(tmtool pipe-rest <&8)" '' 'what a later reader sees of it'
	rest
	is "$(wc -l <"$got")" 1 'rows, read again'
	another_round 1
	rest
	is "$(cat "$got")" "$(rows | tail -n 2)" 'the two rows'
	is "$(tmtool pipe-rest <&8)" "$(rows | tail -n 1)" "the later reader's row"
}
t 'a reader begins with what is sampled after its opening, each at its own place' \
	begins $hour

calls() {
	tmtool pipe-calls $file <$pipe >/tmp/calls || fail 'a call failed'
	is "$(tr '\n' ' ' </tmp/calls)" \
		'EAGAIN nothing 0 ESPIPE ESPIPE ESPIPE EINTR readable EFAULT readable row EAGAIN nothing ' \
		'read, poll, read of 0 bytes, two seeks, pread, a signal; a row: poll, a bad address, poll, read, read, poll'
	is "$(stat -c %a $pipe)" 400 'mode'
}
t 'poll, O_NONBLOCK, a signal, seeks: each as a pipe does' calls $hour

# In each round some end, some are added and some removed; no two rounds are read at
# once.
rounds() {
	crowd 40
	: >"$got"
	exec 7<$pipe
	while read -r one; do
		add "$one"
	done </tmp/crowd
	rest
	# Each of them was added in a round of its own.
	all_got "$got"
	round_by_round "$got"
	for i in 1 2 3 4 5 6; do
		another_round $((42 - 2 * i))
		rest
		kill -9 "$(nth $((i * 6)))" "$(nth $((i * 6 - 3)))"
		wait_for 20 stat_is ended -eq $((2 * i)) || fail 'no final row'
		rest
	done
	all_got "$got"
	round_by_round "$got"
	is "$(grep -c ' state X ' "$got")" 12 'final rows'
}
t 'a reader that keeps up gets round by round, and within one in the order of adding' \
	rounds $hour

storm() {
	crowd 20
	while read -r one; do
		add "$one"
	done </tmp/crowd
	from_here
	cat <&7 >>"$got" &
	kill_at_end $!
	for _ in 1 2 3; do
		tool forks "$(scaled 300)" usr1 7<&-
		add "$pid"
		kill -USR1 "$pid"
		kill -9 "$(nth 1)" "$(nth 9)" "$(nth 17)" 2>/dev/null || :
		sed -i '1d;9d;17d' /tmp/crowd
	done
	wait_for 60 stat_is ended -ge $((3 * $(scaled 300))) || fail 'children do not end'
	stop
	all_got "$got" 60
	is "$(stat_of missed)" 0 'children that were missed'
	balanced
}
t 'in a storm of births and deaths every row comes once' storm \
	'follow=1 period_ms=2'

late() {
	monitored_crowd 7
	from_here
	produce "$(scaled 5000)"
	rest
	all_got "$got"
	# Now a little at a time, while there are more and more.
	period 1
	start
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		dd bs=1000 count=3 status=none <&7 >>"$got"
		kill -9 "$(nth 1)"
		sed -i 1d /tmp/crowd
		[ -s /tmp/crowd ] || break
	done
	stop
	rest
	all_got "$got"
}
t 'a reader that is late gets all that is there, oldest first within a PID' late

pieces() {
	sleeper
	add "$pid"
	from_here
	produce 100
	for _ in 1 2 3; do
		dd bs=400 count=1 status=none <&7 >/tmp/piece
		is "$(tail -c 1 /tmp/piece | wc -l)" 1 'whole rows at the end of a read'
		cat /tmp/piece >>"$got"
	done
	read -r row <&7
	echo "$row" >>"$got"
	dd bs=1 count=7 status=none <&7 >>"$got"
	rest
	all_got "$got"
}
t 'reads return whole rows; those that read by bytes get them in pieces' pieces $hour

waits() {
	sleeper
	one=$pid
	add "$one"
	cat $pipe >"$got" &
	reader=$!
	kill_at_end $reader
	wait_for 20 has_state $reader S || fail 'the reader does not wait'
	rmmod taskmonitor 2>/dev/null && fail 'the module goes while the pipe is open'
	another_round 1
	wait_for 20 grep -q "^pid $one " "$got" || fail 'the reader is not woken by a round'
	kill -9 "$one"
	wait_for 20 grep -q ' state X ' "$got" || fail 'the reader is not woken by an end'
	sleeper
	add "$pid"
	wait_for 20 grep -q "^pid $pid " "$got" || fail 'the reader is not woken by a write'
	kill $reader
	wait_for 20 is_dead $reader || fail 'a signal does not end the wait'
	wait_for 20 rmmod taskmonitor || fail 'the module does not go'
}
t 'a reader waits for a round, an end, a PID that is added, a signal; rmmod is EBUSY' \
	waits $hour

# The entry at which the reader stands goes when it goes on, or is closed.
reclaimed() {
	monitored_crowd 30
	kill -9 "$(nth 30)"
	wait_for 20 stat_is ended -eq 1 || fail 'no final row'
	exec 7<$pipe
	produce 3000
	while read -r one; do
		kill -9 "$one" 2>/dev/null || :
	done </tmp/crowd
	dd bs=4000 count=1 status=none <&7 >"$got"
	cp "$got" /tmp/first
	period 3600000
	start
	wait_for 20 stat_is monitors -le 31 || fail 'no round'
	wait_for 60 few_samples 1500 || fail "$(stat_of samples) samples stay"
	rows | without_name >/tmp/left
	: >"$got"
	rest
	cat /tmp/first "$got" | without_name >/tmp/shown
	cmp_int "$(wc -l </tmp/left)" -gt 0 'rows that are left'
	is "$(only_in_second /tmp/shown /tmp/left)" '' 'rows that are there and were not shown'
	! cat /tmp/first "$got" | sort | uniq -d | grep . || fail 'shown twice'
	is "$(stat_of monitors)" "$(rows | field pid | uniq | wc -l)" 'entries'
	balanced
	exec 7<&-
	rmmod taskmonitor || fail 'the module does not go'
	nothing_left
}
t 'what reclaim took before the reader came is gone, and nothing else' reclaimed \
	'period_ms=1'

namespaces() {
	unshare -f -p true || skip 'no PID namespaces in this kernel'
	sleeper
	add "$pid"
	exec 7<$pipe
	# shellcheck disable=SC2016 # for the inner shell
	file=$file unshare -f -p sh -c '
		sleep 1000 &
		echo $! >$file
		tmtool pipe-rest
		kill -9 $!' <&7 >"$got"
	is "$(field pid <"$got" | sort -u | wc -l)" 1 'processes seen inside'
	cmp_int "$(field pid <"$got" | head -n 1)" -lt 10 'its number there'
	: >"$got"
	another_round 1
	rest
	cmp_int "$(grep -c "^pid $pid " "$got")" -ge 1 'rows seen outside'
}
t 'a reader sees the processes of its PID namespace, by their numbers there' namespaces $hour

run_tests
