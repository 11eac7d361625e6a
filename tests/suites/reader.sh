#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Reading the history: complete, in order and never twice, also slowly and while
# parts of it are reclaimed or removed.
#
# Suite:
#   kernels  6.1+numa 6.12+full
#   by-name  *-debug *-rt *-kcsan
#   seconds  37
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

before=/tmp/before
after=/tmp/after
got=/tmp/got

# history N PIDS: sampling is stopped, and $before is what there is to read.
history() {
	monitored_crowd "$2"
	produce "$1"
	rows >"$before"
	is "$(wc -l <"$before")" "$(stat_of samples)" 'rows read of all samples'
}

# read_some BYTES: from fd 5, where a reading has begun.
read_some() {
	dd bs="$1" count=1 status=none <&5 >>"$got"
}

# sound_rows FILE [once]: complains about rows that are torn or not in the order
# of time within their PID; with "once" also about a PID in two places.
sound_rows() {
	whole_rows <"$1"
	awk -v once="${2:-}" '
	$2 in time && $20 + 0 <= time[$2] + 0 {
		print "after time " time[$2] " comes: " $0
	}
	once && $2 != last && $2 in time { print "in two places: PID " $2 }
	{ time[$2] = $20; last = $2 }' "$1"
}

check_sound() {
	bad=$(sound_rows "$@")
	[ -z "$bad" ] || fail "$(printf '%s\n' "$bad" | head -n 3)"
}

# The reading in $got began with the history $before, and the history was $after
# when it went on: some rows of the one, then all that the other has besides.
check_resumed() {
	check_sound "$got"
	awk '
	which == "before" { before[++nb] = $0; next }
	which == "after" { after[++na] = $0; next }
	{ got[++ng] = $0 }
	END {
		while (k < ng && got[k + 1] == before[k + 1])
			seen[got[++k]]
		print k " rows of the history as it was"
		if (!k)
			print "bad: it does not begin as the history did"
		for (i = 1; i <= na; i++)
			if (!(after[i] in seen) && got[++k] != after[i]) {
				print "bad: row " k " is: " got[k]
				print "it should be: " after[i]
				exit
			}
		if (k < ng)
			print "bad: the rows from " k + 1 " on, as: " got[k + 1]
	}' which=before "$before" which=after "$after" which=got "$got" >/tmp/judged
	! grep -q '^bad' /tmp/judged || fail "$(cat /tmp/judged)"
}

# resume DISTURBANCE...: reads a little, disturbs, reads the rest.
resume() {
	: >"$got"
	exec 5<>"$file"
	read_some 2000
	"$@"
	rows >"$after"
	cat <&5 >>"$got"
	exec 5>&-
	cmp_int "$(wc -l <"$after")" -lt "$(wc -l <"$before")" 'rows that are left'
	check_resumed
	cmp_int "$(wc -l <"$got")" -lt "$(wc -l <"$before")" 'rows read'
}

any_pieces() {
	history "$(scaled 1000)" 3
	cmp_int "$(wc -c <"$before")" -gt 4096 'bytes of history'
	check_sound "$before" once
	for size in 1 16 100 4095 4096 4097 65536 1048576; do
		dd bs=$size status=none <"$file" >"$got"
		cmp "$before" "$got" || fail "read in pieces of $size bytes it differs"
	done
}
t 'trap 13 the history is the same in pieces of 1 byte to 1 MB' any_pieces

longer_than_64k() {
	history "$(scaled 8000)" 40
	cmp_int "$(wc -c <"$before")" -gt "$(scaled 700000)" 'bytes of history'
	check_sound "$before" once
	awk '$2 != last { print last = $2 }' "$before" | cmp - /tmp/crowd ||
		fail 'the PIDs are not in the order in which they were added'
	dd bs=16 count=5000 status=none <"$file" | cmp -n 80000 - "$before" ||
		fail 'read in pieces of 16 bytes it differs'
	rows | cmp - "$before" || fail 'read again it differs'
}
t 'T6Q3 a long history is complete, in order, and the same when read again' longer_than_64k

nothing() {
	is "$(cat "$file")" '' 'what is read with no process monitored'
	stop
	monitored_crowd 3
	is "$(cat "$file")" '' 'what is read of processes added while stopped'
	is "$(stat_of monitors)" 3 'processes monitored'
	one_round
	is "$(nr_rows)" 3 'rows after a round'
	sleeper
	add "$pid"
	is "$(nr_rows)" 3 'rows with one more process added while stopped'
	remove "$(nth 2)"
	rows | field pid >"$got"
	is "$(tr '\n' ' ' <"$got")" "$(nth 1) $(nth 3) " 'the PIDs that have rows'
}
t 'trap 13 no process monitored, or no sample yet: no row' nothing period_ms=3600000

rewound() {
	history "$(scaled 1000)" 3
	exec 5<"$file"
	: >"$got"
	read_some 3000
	is "$(tmtool seek set 0 <&5)" 0 'lseek to 0'
	cat <&5 | cmp - "$before" || fail 'read on from 0 it differs'
	is "$(tmtool seek set 0 <&5)" 0 'lseek to 0 from the end'
	cat <&5 | cmp - "$before" || fail 'read once more from 0 it differs'
	exec 5<&-
}
t 'an open file can be rewound to 0 and read on' rewound

# no_jump_to OFFSET: neither lseek nor pread goes there.
no_jump_to() {
	is "$(tmtool seek set "$1" <&5)" ESPIPE "lseek to $1"
	is "$(tmtool pread "$1" 100 <&5)" ESPIPE "pread at $1"
}

other_offsets() {
	history "$(scaled 1000)" 3
	exec 5<"$file"
	: >"$got"
	for offset in 1 130 4095 4096 4097 100000 1099511627776; do
		no_jump_to "$offset"
	done
	is "$(tmtool seek end 0 <&5)" ESPIPE 'lseek to the end'
	is "$(tmtool seek end -10 <&5)" ESPIPE 'lseek to 10 before the end'
	is "$(tmtool seek cur 10 <&5)" ESPIPE 'lseek by 10'
	read_some 3000
	for offset in 1 130 2999 3001 4096 100000; do
		no_jump_to "$offset"
	done
	is "$(tmtool seek end 0 <&5)" ESPIPE 'lseek to the end'
	is "$(tmtool seek cur 1 <&5)" ESPIPE 'lseek by 1'
	is "$(tmtool seek cur -1 <&5)" ESPIPE 'lseek by -1'
	is "$(tmtool seek cur 0 <&5)" 3000 'the offset after what was refused'
	cat <&5 >>"$got"
	cmp "$got" "$before" || fail 'read on after what was refused it differs'
	exec 5<&-
}
t 'trap 33 any offset but 0, by lseek or pread, is ESPIPE and moves nothing' other_offsets

# Where a reading stands pread() is ESPIPE too: one that passed would move what
# read(2) goes on from.
every_pread() {
	history "$(scaled 1000)" 3
	exec 5<"$file"
	: >"$got"
	is "$(tmtool pread 0 100 <&5)" ESPIPE 'pread at 0'
	for size in 3000 100; do
		read_some "$size"
		is "$(tmtool pread 0 100 <&5)" ESPIPE 'pread at 0'
		is "$(tmtool pread "$(wc -c <"$got")" 100 <&5)" ESPIPE \
			'pread at the offset of the file'
	done
	cat <&5 >>"$got"
	cmp "$got" "$before" || fail 'read on after pread it differs'
	is "$(tmtool pread 0 100 <&5)" ESPIPE 'pread at 0 when all is read'
	exec 5<&-
}
t 'trap 42 every pread is ESPIPE, where a reading stands too, and it goes on' every_pread

# io_uring reads at any offset, at which the file itself says no.
other_ways() {
	history "$(scaled 1000)" 3
	exec 5<"$file"
	: >"$got"
	case $(tmtool uring-read 0 1 <"$file" 2>&1) in
	p) ;;
	*) skip 'no io_uring' ;;
	esac
	read_some 3000
	for offset in 0 1 100 4096 100000; do
		is "$(tmtool uring-read $offset 100 <&5)" ESPIPE "io_uring at $offset"
	done
	cat <&5 >>"$got"
	cmp "$got" "$before" || fail 'read on after io_uring it differs'
	exec 5<&-
}
t 'io_uring reads at no other offset than read() would, and moves nothing' other_ways

in_pieces() {
	history "$(scaled 1000)" 3
	exec 5<"$file"
	tmtool readv 1500 <&5 >"$got"
	is "$(wc -c <"$got")" 3000 'bytes that one readv returns'
	cat <&5 >>"$got"
	cmp "$got" "$before" || fail 'read on after readv it differs'
	exec 5<&-
}
t 'readv fills all its pieces' in_pieces

# A file that a reader inside a PID namespace gets from one outside.
handed_over() {
	unshare -f -p true || skip 'no PID namespaces in this kernel'
	history "$(scaled 8000)" 3
	exec 5<"$file"
	: >"$got"
	read_some 500
	unshare -f -p cat <&5 >>"$got"
	exec 5<&-
	# The row in which it was handed over had been formatted outside.
	cmp_int "$(wc -l <"$got")" -le 10 'rows read outside and inside'
	head -n "$(wc -l <"$got")" "$before" | cmp - "$got" ||
		fail 'what was read is not the beginning of the history'
}
t 'a file handed over shows no PID that its new reader cannot see' handed_over

# A user without privileges, in a PID namespace, with a file that root has opened.
unprivileged() {
	unshare -f -p true || skip 'no PID namespaces in this kernel'
	monitored_crowd 100
	exec 5<"$file"
	# shellcheck disable=SC2016 # the shell inside expands this
	file=$file unshare -f -p sh -c '
		sleep 100000 &
		echo $! >$file
		echo $! >/tmp/visible
		tmtool as-nobody cat <&5 >/tmp/seen
		tmtool as-nobody cat $file >/tmp/refused 2>&1
		kill $!'
	exec 5<&-
	is "$(field pid </tmp/seen)" "$(cat /tmp/visible)" 'PIDs that it reads'
	is "$(whole_rows </tmp/seen)" '' 'what is no row'
	is "$(grep -c 'Permission denied' /tmp/refused)" 1 'refused to open it'
}
t 'a user without privileges reads, in its namespace, what it is given' \
	unprivileged period_ms=3600000

interleaved() {
	history 1000 3
	exec 5<"$file" 6<"$file"
	: >"$got"
	: >"$after"
	while :; do
		size=$(wc -c <"$got")$(wc -c <"$after")
		dd bs=700 count=20 status=none <&5 >>"$got"
		dd bs=1111 count=9 status=none <&6 >>"$after"
		[ "$(wc -c <"$got")$(wc -c <"$after")" != "$size" ] || break
	done
	exec 5<&- 6<&-
	cmp "$before" "$got" || fail 'the first differs'
	cmp "$before" "$after" || fail 'the second differs'
}
t 'trap 13 two open files are read by turns, and each is whole' interleaved

# sums FILE: ten readings, one checksum each.
sums() {
	for i in 1 2 3 4 5 6 7 8 9 10; do
		rows | sha1sum
	done | sort | uniq -c >"$1"
}

concurrent() {
	history "$(scaled 1000)" 3
	sum=$(sha1sum <"$before")
	sums /tmp/sums1 &
	one=$!
	sums /tmp/sums2 &
	wait "$one" $!
	for i in 1 2; do
		is "$(sed 's/^ *//' /tmp/sums$i)" "10 $sum" "checksums of reader $i"
	done
}
t 'trap 16 two readers at a time agree, reading after reading' concurrent

cap_to_10() {
	echo 10 >"$parameters/max_samples"
	one_round
	is "$(stat_of samples)" 30 'samples left of three processes'
}

read_on_capped() {
	history "$(scaled 3000)" 3
	resume cap_to_10
}
t 'the row where a reading stopped is dropped: it goes on with the oldest left' read_on_capped

read_on_reclaimed() {
	history "$(scaled 6000)" 20
	resume drop_caches
	cmp_int "$(stat_of reclaimed)" -gt 0 'samples reclaimed'
}
t 'the row where a reading stopped is reclaimed: it goes on with the oldest left' read_on_reclaimed

read_on_removed() {
	history 300 3
	resume remove "$(nth 1)"
	grep -q "^pid $(nth 3) " "$got" || fail 'nothing of the third PID'
}
t 'trap 34 the PID that is read is removed: the file goes on with the next' read_on_removed

remove_two() {
	remove "$(nth 2)"
	remove "$(nth 1)"
}

read_on_removed_two() {
	history 300 3
	resume remove_two
}
t 'trap 34 the next PID is removed too: the file goes on with the one after' read_on_removed_two

remove_all() {
	remove_two
	remove "$(nth 3)"
	is "$(cat "$file")" '' 'what a new reader sees'
}

read_on_nothing() {
	history 300 3
	resume remove_all
}
t 'trap 34 all PIDs are removed: the file ends' read_on_nothing

remove_by_own_fd() {
	echo "-$(nth 1)" >&5
}

read_on_own_removal() {
	history 300 3
	resume remove_by_own_fd
}
t 'trap 5 the PID that is read is removed through the reading file itself' read_on_own_removal

re_add() {
	remove "$(nth 1)"
	add "$(nth 1)"
	one_round
}

read_on_re_added() {
	history 300 3
	resume re_add
	is "$(tail -n 1 "$got" | field pid)" "$(nth 1)" 'the PID that comes last'
}
t 'the PID that is read is removed and added again: its new rows come last' read_on_re_added

all_dropped() {
	drop_caches
	stat_is monitors -eq 2
}

exit_and_reclaim() {
	kill -9 "$(nth 1)"
	wait_for 10 gone "$(nth 1)" || fail "the process is still there"
	# The others get younger samples, so that there is more to give.
	produce "$(($(stat_of samples) + 200))"
	wait_for 20 all_dropped || fail 'the exited process is not reclaimed'
}

read_on_exited() {
	history 300 3
	resume exit_and_reclaim
}
t 'the PID that is read has exited and is reclaimed: the file goes on with the next' read_on_exited

end_of_file() {
	history 100 2
	exec 5<"$file"
	cat <&5 >"$got"
	cmp "$before" "$got" || fail 'what was read'
	for i in 1 2 3; do
		is "$(dd bs=100 count=1 status=none <&5)" '' "read $i at the end"
	done
	one_round
	is "$(dd bs=100 count=1 status=none <&5)" '' 'read at the end of before'
	is "$(tmtool seek set 0 <&5)" 0 'lseek to 0'
	is "$(cat <&5 | wc -l)" "$(stat_of samples)" 'rows from 0, the new ones too'
	exec 5<&-
}
t 'the end of the file stays the end until the file is rewound' end_of_file

# What was there before a reading and after it, the reading has; what it has
# from before is as it was.
check_complete() {
	awk -v least="$1" '
	{ key = $2 " " $20 }
	which == "before" { before[key] = $0; if ($20 > cut) cut = $20; next }
	which == "after" { if (key in before) throughout[key]; next }
	{ seen[key] }
	$20 + 0 <= cut + 0 && before[key] != $0 { print "never was: " $0 }
	END {
		for (key in throughout) {
			n++
			if (!(key in seen))
				print "missed: " before[key]
		}
		if (n < least)
			print n " rows were there throughout: this proves little"
	}' which=before "$before" which=after "$after" which=got "$got" >/tmp/judged
	[ ! -s /tmp/judged ] || fail "$(head -n 3 /tmp/judged)"
}

# slowly DISTURBANCE...: reads a history in one-byte pieces while samples are
# taken; every 20 rows or so the disturbance is called with the number of times
# that it has been.
slowly() {
	rows >"$before"
	: >"$got"
	period 3
	start
	exec 5<>"$file"
	i=0
	while [ "$i" -lt 18 ]; do
		dd bs=1 count=2000 status=none <&5 >>"$got"
		[ $# -eq 0 ] || "$@" "$i"
		i=$((i + 1))
	done
	# On a busy host the reader may have been quicker than the rounds.
	wait_for 20 stat_is taken -gt "$(($(wc -l <"$before") + 50))" ||
		fail 'hardly any sample is taken during the reading'
	stop
	rows >"$after"
	cat <&5 >>"$got"
	exec 5>&-
	cmp_int "$(wc -l <"$got")" -gt 1000 'rows read'
	cmp_int "$(stat_of taken)" -gt "$(($(wc -l <"$before") + 50))" \
		'samples taken in all'
	balanced
}

slow_adding() {
	monitored_crowd 4
	produce 2000
	slowly
	check_sound "$got" once
	check_complete 2000
}
t 'a slow reader while samples are added: no row missed, doubled, torn' slow_adding

# Half of the history, where the kernel has a file for that. Elsewhere as much as
# drop_caches takes, which on the debug kernels is nearly all.
some_reclaim() {
	[ "$1" -eq 5 ] || return 0
	for scan in /sys/kernel/debug/shrinker/taskmonitor-*/scan; do
		if [ -e "$scan" ]; then
			echo "0 0 2000" >"$scan"
		else
			drop_caches
		fi
	done
}

slow_reclaim() {
	monitored_crowd 4
	produce 4000
	slowly some_reclaim
	check_sound "$got" once
	check_complete 100
	cmp_int "$(stat_of reclaimed)" -gt 1000 'samples reclaimed'
}
t 'a slow reader while samples are reclaimed: no row missed, doubled, torn' slow_reclaim

cap_low() {
	echo "$((1000 - $1 * 40))" >"$parameters/max_samples"
}

slow_capped() {
	monitored_crowd 4
	produce 4000
	slowly cap_low
	check_sound "$got" once
	# All of it may be gone by now.
	check_complete 0
	cmp_int "$(stat_of capped)" -gt 1000 'samples capped'
}
t 'a slow reader while the cap falls: no row doubled or torn' slow_capped

some_removal() {
	case $1 in
	2 | 6 | 10 | 14) remove "$(nth $(($1 / 2)))" ;;
	4 | 12) add "$(nth $(($1 / 2 - 1)))" ;;
	esac
}

slow_removal() {
	monitored_crowd 8
	produce 4000
	slowly some_removal
	# A PID that was added again may be in two places.
	check_sound "$got"
	check_complete 1000
}
t 'a slow reader while PIDs come and go: no row missed, doubled, torn' slow_removal

read_soundly() {
	cat "$file" >"$1"
	sound_rows "$1" >>/tmp/unsound
	echo >>/tmp/readings
}

come_and_go() {
	while read -r p; do
		remove "$p"
		add "$p"
	done </tmp/crowd
	drop_caches
}

fast_readers() {
	: >/tmp/unsound
	: >/tmp/readings
	monitored_crowd 6
	loop read_soundly /tmp/one
	loop read_soundly /tmp/two
	loop come_and_go
	wait_for 60 awk 'END { exit NR < 40 }' /tmp/readings ||
		fail "$(wc -l </tmp/readings) readings in a minute"
	end_loops
	[ ! -s /tmp/unsound ] || fail "$(head -n 3 /tmp/unsound)"
	cmp_int "$(stat_of reclaimed)" -gt 0 'samples reclaimed'
	balanced
}
t 'two readers while everything is added, capped, reclaimed and removed' fast_readers 'period_ms=1 max_samples=300'

# What has been freed is not counted: KASAN keeps it from use for a while, and
# lets go of it when its cache is shrunk.
kmalloc_objects() {
	for cache in /sys/kernel/slab/kmalloc-*/shrink; do
		[ ! -e "$cache" ] || echo 1 >"$cache"
	done
	awk '/^kmalloc/ { n += $2 } END { print n }' /proc/slabinfo
}

open_close() {
	history 200 2
	tmtool opens "$file" 200 || fail 'it cannot be opened'
	was=$(kmalloc_objects)
	tmtool opens "$file" "$(scaled 2000)" || fail 'it cannot be opened'
	# An opening takes three objects at least.
	cmp_int "$(($(kmalloc_objects) - was))" -lt "$(scaled 1000)" \
		'more objects of kmalloc after many an open and close'
}
t 'trap 24 opening, reading a little and closing leaks nothing' open_close

reader_sits() {
	monitored_crowd 3
	wait_for 10 has_rows 100 || fail 'no history'
	exec 5<"$file"
	: >"$got"
	read_some 500
	was=$(stat_of taken)
	wait_for 20 stat_is taken -gt "$((was + 300))" ||
		fail "with a reader in mid-file $(stat_of taken) samples, from $was"
	remove "$(nth 1)"
	add "$(nth 1)"
	stop
	cat <&5 >>"$got"
	exec 5<&-
	check_sound "$got"
}
t 'a reader that stops in mid-file holds up no other' reader_sits period_ms=5

run_tests
