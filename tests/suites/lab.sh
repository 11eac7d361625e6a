#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The lab's questions, as far as the answer can be observed.
#
# Suite:
#   kernels  6.1 6.12+full 6.1-rt 6.12-rt newest-debug
#   by-name  *-debug
#   seconds  30
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/guest/inject.sh
. "${0%/*}/inject.sh"
# shellcheck source=tests/guest/questions.sh
. "${0%/*}/questions.sh"

dyndbg=/proc/dynamic_debug/control

# What is logged, but for complaints about the clocks of a VM that had to wait.
log_lines() {
	dmesg | grep -cvE '\] (hrtimer|clocksource): '
}

t1q2() {
	before=$(log_lines)
	sleeper
	add "$pid"
	wait_for 10 has_rows 5 "$pid" || fail 'no five samples in ten seconds'
	is "$(log_lines)" "$before" 'lines logged while sampling'
	rows "$pid" | field time | sort -n -u | wc -l >/tmp/n
	cmp_int "$(cat /tmp/n)" -ge 5 'samples with a time of their own'
	tell_answer T1Q2 tail -n 3 $file
}
t 'T1Q2 the kthread stores a sample a period, and logs nothing' t1q2 period_ms=20

# page_is_newest PAGE ALL: the page has no row twice, none that is not in the
# history, none older than the row before it; and none newer is left out, except
# in the last round shown, where the page may end.
page_is_newest() {
	awk '
		FNR == NR { all[$0]++; left[$20]++; next }
		all[$0]-- < 1 { print "not in the history, or twice: " $0; bad = 1 }
		shown && $20 > time { print "older first: " $0; bad = 1 }
		{ left[$20]--; time = $20; shown = 1 }
		END {
			for (i in left)
				if (left[i] && (!shown || i + 0 > time + 0)) {
					print left[i] " left out of " i
					bad = 1
				}
			exit bad
		}' "$2" "$1" || fail 'the page is not the newest part of the history'
}

t1q3() {
	monitored_crowd 100
	produce "$(scaled 10000)"
	dd if="$attribute" of=/tmp/page bs=65536 count=1
	rows >/tmp/all
	size=$(wc -c </tmp/page)
	longest=$(awk '{ if (length > n) n = length } END { print n + 1 }' /tmp/all)
	cmp_int "$size" -le 4096 'bytes in sysfs'
	cmp_int "$size" -ge $((4096 - longest)) 'as many rows as fit a page'
	is "$(whole_rows </tmp/page)" '' 'what is no row'
	page_is_newest /tmp/page /tmp/all
	tell_answer T1Q3 wc -c /tmp/page
	tell_answer T1Q3 head -n 3 /tmp/page
	cmp "$attribute" /tmp/page || fail 'another read, another page'
}
t 'T1Q3 trap 23 sysfs shows the newest samples, whole rows, within a page' t1q3

t1q3_short() {
	is "$(cat "$attribute")" '' 'sysfs with nothing monitored'
	sleeper
	add "$pid"
	sleeper
	add "$pid"
	stop
	# Two rounds, for each had its own when it was added.
	rows | sort -r -n -k 20 >/tmp/newest_first
	cmp "$attribute" /tmp/newest_first || fail 'not the newest first'
}
t 'T1Q3 sysfs shows all of a history that fits a page' t1q3_short \
	period_ms=3600000

free_kib() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	awk '$1 == "MemFree:" { print $2 }' /proc/meminfo
}

# A module's life with 2000 samples in it: 125 KiB.
life() {
	load
	while read -r pid; do
		add "$pid"
	done </tmp/crowd
	produce "$(scaled 2000)"
	rmmod taskmonitor || fail 'rmmod failed'
	! grep '^task_sample ' /proc/slabinfo || fail 'the slab cache stays'
}

t1q4() {
	# There the allocator keeps what was freed for a while: leak.sh looks.
	[ "$(scaled 100)" = 100 ] || skip 'only where freed memory is free at once'
	crowd 50
	life
	life
	before=$(free_kib)
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		life
	done
	# A leak of half the samples would be this much for good; what the kernel
	# itself still holds on to comes back.
	wait_for 20 free_again || fail "$(free_kib) KiB free after ten lives, $before before"
	tell_answer T1Q4 echo "MemFree before $before kB, after ten lives $(free_kib) kB"
}

free_again() {
	[ "$(free_kib)" -ge $((before - 625)) ]
}
t 'T1Q4 the exit frees everything: memory stays flat' t1q4 -

figures_are() {
	equal_to_proc "$1" || fail "other than /proc has it: $(cat /tmp/last)"
}

t1q5() {
	tool map touch 3 write 20 none 70
	child=$pid
	for n in 1 2 3; do
		tool_ready "$n"
		add "$child"
		figures_are "$child"
		cmp_int "$(rows "$child" | field total)" -ge 3072 'KiB mapped'
		[ "$n" -lt 3 ] || {
			tell_answer T1Q5 rows "$child"
			tell_answer T1Q5 grep -E 'Vm(Size|Stk|Data|RSS)' "/proc/$child/status"
		}
		remove "$child"
		kill -USR1 "$child"
	done
}
t 'T1Q5 samples record the total, stack and data that are mapped' t1q5 \
	period_ms=3600000

t2q2_traced() {
	[ -d "$scan_event" ] || skip 'no tracing of shrinkers in this kernel'
	sleeper
	add "$pid"
	wait_for 10 has_rows 10 || fail 'no ten samples in ten seconds'
	scans /tmp/before
	rmmod taskmonitor
	scans /tmp/after
	grep -q '\[taskmonitor\]' /tmp/before || fail 'reclaim does not ask us'
	tell_answer T2Q2 grep -o 'mm_shrink_slab_start:.*taskmonitor.*cache items [0-9]*' \
		/tmp/before
	asked_when_gone taskmonitor /tmp/after || fail 'reclaim asks an unloaded module'
}
t 'T2Q2 the shrinker is registered, and gone after rmmod' t2q2_traced period_ms=10

t2q2_debugfs() {
	[ -d /sys/kernel/debug/shrinker ] || skip 'no shrinker debugfs in this kernel'
	one=$(echo /sys/kernel/debug/shrinker/taskmonitor-*)
	[ -e "$one/count" ] || fail 'no shrinker called taskmonitor'
	rmmod taskmonitor
	! [ -e "$one" ] || fail 'the shrinker stays'
}
t 'T2Q2 the shrinker is in the kernel'\''s own list of them' t2q2_debugfs

t2q3() {
	monitored_crowd 20
	produce "$(scaled 2000)"
	before=$(stat_of samples)
	tell_answer T2Q3 grep -E 'samples|reclaimed' $stats
	drop_caches
	cmp_int "$(stat_of samples)" -lt "$before" 'samples after reclaim'
	tell_answer T2Q3 echo '# echo 2 > /proc/sys/vm/drop_caches'
	tell_answer T2Q3 grep -E 'samples|reclaimed' $stats
	is $((before - $(stat_of samples))) "$(stat_of reclaimed)" 'reclaimed'
	is "$(stat_of monitors)" 20 'PIDs that are monitored'
	period 1
	start
	taken=$(stat_of taken)
	wait_for 10 stat_is taken -gt $((taken + 100)) || fail 'sampling stands still'
	balanced
}
t 'T2Q3 the shrinker works: the history shrinks, sampling goes on' t2q3

t3q1() {
	size=$(cat $sample_slab/object_size 2>/dev/null || echo 64)
	line=$(dmesg | grep 'taskmonitor: .*sizeof(struct task_sample)' | tail -n 1)
	is "$(echo "$line" | sed 's/.*(struct task_sample) \([0-9]*\).*/\1/')" \
		"$size" 'the size that was logged'
	cmp_int "$(echo "$line" | sed 's/.* //')" -ge "$size" 'what kmalloc takes'
	tell_answer T3Q1 echo "$line"
}
t 'T3Q1 the log tells the size of a sample, and what kmalloc takes' t3q1

# slabinfo COLUMN: 2 objects in use, 3 objects, 4 an object's size, 5 how many
# of them a slab has.
slabinfo() {
	awk -v column="$1" '$1 == "task_sample" { print $column }' /proc/slabinfo
}

t3q2() {
	tell_answer T3Q2 sed -n 2p /proc/slabinfo
	tell_answer T3Q2 grep '^task_sample ' /proc/slabinfo
	monitored_crowd 50
	produce "$(scaled 10000)"
	tell_answer T3Q2 echo "# with $(stat_of samples) samples"
	tell_answer T3Q2 grep '^task_sample ' /proc/slabinfo
	held=$(($(stat_of samples) + $(cat $parameters/reserve)))
	is "$(stat_of bytes)" $((64 * $(stat_of samples))) 'bytes of the samples'
	cmp_int "$(slabinfo 2)" -ge "$held" 'active objects'
	cmp_int "$(slabinfo 3)" -ge "$(slabinfo 2)" 'all objects'
	[ -d $sample_slab ] || skip 'no /sys/kernel/slab in this kernel'
	is "$(cat $sample_slab/object_size)" 64 'size of an object'
	# A cache that could be merged has a link here, whether it was or not.
	[ ! -L $sample_slab ] || fail 'a cache that may be merged'
	is "$(cat $sample_slab/aliases)" 0 'caches that it was merged with'
	is "$(cat $sample_slab/reclaim_account)" 1 'accounted as reclaimable'
	# A kernel that looks for mistakes puts more around each object.
	[ "$(cat $sample_slab/slab_size)" = 64 ] || return 0
	is "$(slabinfo 4)" 64 'size of an object'
	is "$(slabinfo 5)" 64 'objects in a slab'
	# What each CPU holds back is some slabs.
	cmp_int "$(slabinfo 2)" -le $((held + 2000)) 'active objects'
}
t 'T3Q2 a slab cache of our own, with a name, not merged' t3q2

t4q2() {
	faults_on
	for _ in 1 2 3; do
		sleeper
		add "$pid"
	done
	stop
	fail_samples
	period 5
	start
	wait_for 60 stat_is recycled -ge 50 || fail 'sampling stands still'
	stop
	is "$(stat_of samples)" $((3 + 8)) 'samples: the first ones and the reserve'
	is "$(stat_of dropped)" 0 'samples that could not be taken'
	tell_answer T4Q2 grep -E 'samples|taken|recycled|dropped' $stats
	is "$(rows | field pid | sort -u | wc -l)" 3 'PIDs with a history'
	balanced
	rmmod taskmonitor || fail 'rmmod with every allocation failing'
}
t 'T4Q2 with every slab allocation failing, sampling goes on from the reserve' \
	t4q2 'period_ms=3600000 reserve=8'

t4q2_add() {
	faults_on
	sleeper
	fail_samples
	cat $stats >/tmp/before
	is "$(printf %s "$pid" | tmtool write $file)" ENOMEM 'adding without memory'
	cmp $stats /tmp/before || fail 'something was added'
	is "$(rows)" '' 'rows'
	faults_off
	add "$pid"
	is "$(nr_rows)" 1 'rows when there is memory again'
}
t 'T4Q2 no memory for a PID: ENOMEM, and nothing half added' t4q2_add \
	period_ms=3600000

logged() {
	dmesg | sed -n 's/.*taskmonitor: \(pid [0-9]* usr [0-9]* sys [0-9]*\)$/\1/p'
}

has_logged() {
	[ "$(logged | wc -l)" -ge "$1" ]
}

t5q2() {
	[ -e $dyndbg ] || skip 'no dynamic debug in this kernel'
	dmesg -c >/dev/null
	sleeper
	add "$pid"
	wait_for 10 has_rows 5 || fail 'no five samples in ten seconds'
	is "$(logged)" '' 'logged before it was asked for'
	echo 'module taskmonitor +p' >$dyndbg
	wait_for 10 has_logged 5 || fail 'no line logged'
	echo 'module taskmonitor -p' >$dyndbg
	stop
	logged >/tmp/logged
	tell_answer T5Q2 tail -n 2 /tmp/logged
	# The first words of a row of the history, every one of them.
	rows | cut -d ' ' -f 1-6 >/tmp/all
	! grep -vxFf /tmp/all /tmp/logged || fail 'logged, but not in the history'
	start
	rounds=$(nr_rows)
	wait_for 10 has_rows $((rounds + 5)) || fail 'no more samples'
	is "$(logged | wc -l)" "$(wc -l </tmp/logged)" 'lines when it is off again'
}
t 'T5Q2 each sample is printed where dynamic debug asks, else nothing' t5q2 \
	period_ms=20

# No lock is held by then: what is being printed leaves the history.
t5q2_evicted() {
	[ -e $dyndbg ] || skip 'no dynamic debug in this kernel'
	monitored_crowd 50
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		drop_caches
	done
	taken=$(stat_of taken)
	wait_for 20 stat_is taken -gt $((taken + 200)) || fail 'sampling stands still'
	stop
	balanced
	cmp_int "$(stat_of capped)" -gt 0 'samples evicted while printing'
}
t 'T5Q2 a sample that is evicted while it is printed stays valid' t5q2_evicted \
	'period_ms=1 max_samples=2 dyndbg=+p'

# A probe where tm_save_sample() returns: the count behind the list_head is read.
t5q3() {
	probes=$tracing/kprobe_events
	[ -e $probes ] || skip 'no kprobes in this kernel'
	sleeper
	add "$pid"
	# shellcheck disable=SC2016 # a word of the kernel's, not of the shell's
	echo 'r:kprobes/saved taskmonitor:tm_save_sample refs=+16($retval):u32' >$probes
	: >$tracing/trace
	echo 1 >$tracing/events/kprobes/saved/enable
	was=$(stat_of taken)
	wait_for 10 stat_is taken -ge $((was + 5)) || fail 'no five samples in ten seconds'
	echo 0 >$tracing/events/kprobes/saved/enable
	grep -o 'saved: .*' $tracing/trace >/tmp/saved || :
	: >$probes
	cmp_int "$(wc -l </tmp/saved)" -ge 5 'samples that the probe saw'
	is "$(grep -v ' refs=2$' /tmp/saved || :)" '' 'samples with other than two references'
	tell_answer T5Q3 tail -n 2 /tmp/saved
}
t 'T5Q3 just before it is printed a sample has two references' t5q3 period_ms=20

# in_order FILE: PIDs in one piece each, in the order of the words in /tmp/order;
# times rising in each; and all have as many, up to the same round.
in_order() {
	awk '
		FNR == NR { order[++nr] = $1; next }
		$2 != pid {
			if ($2 != order[++at]) {
				print "not its turn: " $0
				exit bad = 1
			}
			pid = $2
			time = 0
		}
		$20 + 0 <= time + 0 { print "not newer: " $0; exit bad = 1 }
		{ time = $20; last[at] = time; nr_rows[at]++ }
		END {
			if (bad)
				exit bad
			for (i = 1; i <= nr; i++)
				if (last[i] != last[1] || nr_rows[i] != nr_rows[1]) {
					print order[i] " misses rounds of " order[1]
					bad = 1
				}
			exit bad
		}' /tmp/order "$1" || fail 'the history is not in order'
}

t6q3() {
	: >/tmp/order
	for _ in 1 2 3; do
		sleeper
		add "$pid"
		echo "$pid" >>/tmp/order
	done
	produce "$(scaled 2400)"
	rows >/tmp/all
	is "$(wc -l </tmp/all)" "$(stat_of samples)" 'rows of all samples'
	cmp_int "$(wc -c </tmp/all)" -gt "$(scaled 204800)" 'bytes, far beyond a page'
	is "$(whole_rows </tmp/all)" '' 'what is no row'
	in_order /tmp/all
	tell_answer T6Q3 wc /tmp/all
	tell_answer T6Q3 head -n 1 /tmp/all
	tell_answer T6Q3 tail -n 1 /tmp/all
}
t 'T6Q3 debugfs shows the whole history, complete and in order' t6q3 \
	period_ms=3600000

t7q2() {
	for _ in 1 2 3 4; do
		sleeper
	done
	stop
	while read -r pid; do
		add "$pid"
	done <$started
	is "$(rows)" '' 'rows while sampling is stopped'
	start
	wait_for 10 has_rows 40 || fail 'no ten rounds in ten seconds'
	stop
	rows | awk '{ seen[$20]++ } END { for (i in seen) print seen[i] }' |
		sort -u >/tmp/per_round
	is "$(cat /tmp/per_round)" 4 'samples a round, for each of its times'
	tell_answer T7Q2 grep " time $(rows | field time | tail -n 1)" $file
	is "$(rows | awk '{ print $2 }' | uniq | tr '\n' ' ')" \
		"$(tr '\n' ' ' <$started)" 'PIDs in the order of adding'
}
t 'T7Q2 every monitored process is sampled once a period' t7q2 period_ms=10

t7q3() {
	sleeper
	one=$pid
	sleeper
	add "$one"
	add "$pid"
	is "$(rows | field pid | sort -u | wc -l)" 2 'PIDs'
	is "$(stat_of monitors)" 2 'monitors'
	remove "$one"
	is "$(nr_rows "$one")" 0 'rows of what was removed'
	cmp_int "$(nr_rows "$pid")" -ge 1 'rows of the other'
	is "$(stat_of monitors)" 1 'monitors'
	add "$one"
	is "$(nr_rows "$one")" 1 'rows of what was added again'
	is "$(rows | field pid | uniq | tail -n 1)" "$one" 'the last that was added'
	balanced
}
t 'T7Q3 writing 312 adds, -312 removes' t7q3 period_ms=3600000

t7q3_refused() {
	sleeper
	add "$pid"
	cat $file $stats >/tmp/before
	is "$(printf 4194304 | tmtool write $file)" ESRCH 'no such process'
	tell_answer T7Q3 echo "4194304: ESRCH  $pid again: EEXIST  -1: ENOENT  1 $pid: EINVAL"
	is "$(printf %s "$pid" | tmtool write $file)" EEXIST 'already monitored'
	is "$(printf -- -1 | tmtool write $file)" ENOENT 'not monitored'
	is "$(printf '%s %s' 1 "$pid" | tmtool write $file)" EINVAL 'two numbers'
	cat $file $stats | cmp - /tmp/before || fail 'a refused write changed something'
}
t 'T7Q3 what makes no sense is refused, and changes nothing' t7q3_refused \
	period_ms=3600000

run_tests
