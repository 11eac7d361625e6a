#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# All that was allocated is freed: by kmemleak, and by the slabs of what the
# module holds references to.
#
# Suite:
#   kernels  newest-debug 6.1-debug
#   by-name  *-debug
#   seconds  190
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/guest/inject.sh
. "${0%/*}/inject.sh"

kmemleak=/sys/kernel/debug/kmemleak

# What there is now is taken as it is: from here on every leak counts.
watch_leaks() {
	[ -e $kmemleak ] || skip 'no kmemleak in this kernel'
	echo clear >$kmemleak
}

is_past() {
	[ "$(uptime_s)" -ge "$1" ]
}

# Writes to /tmp/leaks what nothing refers to any more. What is younger than five
# seconds is not looked at; and the first scan only notes checksums, for what
# changes is in use. By dd, since debugfs knows nothing of sendfile().
find_leaks() {
	wait_for 60 is_past $(($(uptime_s) + 6))
	for _ in 1 2; do
		echo scan >$kmemleak || fail 'kmemleak has switched itself off'
	done
	dd if=$kmemleak of=/tmp/leaks bs=4096 status=none || fail 'kmemleak tells nothing'
}

nr_leaks() {
	grep -c '^unreferenced object' /tmp/leaks
}

# leave_out_of_leaks FUNCTION: what it has allocated is the kernel's to lose.
leave_out_of_leaks() {
	awk -v theirs="$1" '
		function flush() { if (!known) printf "%s", object; object = known = "" }
		/^unreferenced object/ { flush() }
		index($0, "] " theirs "+") { known = 1 }
		{ object = object $0 "\n" }
		END { flush() }' /tmp/leaks >/tmp/ours
	mv /tmp/ours /tmp/leaks
}

# no_leaks [FUNCTION]: the kernel itself has none here but what FUNCTION loses, so
# any other is ours.
no_leaks() {
	find_leaks
	[ $# -eq 0 ] || leave_out_of_leaks "$1"
	[ ! -s /tmp/leaks ] ||
		fail "$(nr_leaks) objects are lost: $(head -n 40 /tmp/leaks)"
}

unload() {
	rmmod taskmonitor || fail 'rmmod failed'
	nothing_left
}

# That there are leaks is news to a reader of the log, here it is none.
no_news() {
	trap 'dmesg -n 7' EXIT
	dmesg -n 4
}

# The proof that the other tests here can fail.
control() {
	watch_leaks
	insmod /taskmonitor-kunit.ko || fail 'the module with the unit tests'
	echo 20 >$parameters/lose
	unload
	no_news
	find_leaks
	# What an old stack still points to is not seen.
	cmp_int "$(nr_leaks)" -ge 15 'of 20 objects that were lost on purpose'
	cmp_int "$(grep -c 'size 256\|size 512' /tmp/leaks)" -ge 15 'of their size'
}
t 'control: what is lost on purpose is found' control -

life() {
	load period_ms=1 target=1
	monitored_crowd 5
	wait_for 60 stat_is taken -ge 30 || fail 'no 30 samples in a minute'
	rows >/dev/null
	dd if=$file bs=100 count=3 of=/dev/null status=none
	remove "$pid"
	drop_caches
	[ $(($1 % 2)) -eq 0 ] || stop
	[ $(($1 % 3)) -eq 0 ] || clean_up
	! loaded || unload
}

lives() {
	watch_leaks
	for i in 1 2 3 4 5 6 7 8 9 10; do
		life $i
	done
	nothing_left
	no_leaks
}
t 'T1Q4 ten lives of the module lose nothing' lives -

# load_fails ERROR "PARAMETERS"
load_fails() {
	is "$(tmtool insmod /taskmonitor.ko "$2")" "$1" "insmod $2"
	nothing_left
}

# What can be seen without a process, for each of many loads; nothing_left is for
# the end of them.
nothing_in_sight() {
	for f in /sys/module/taskmonitor "$file" "$stats" "$attribute" \
		"$sample_slab"; do
		[ ! -e "$f" ] || fail "fault $((faults + 1)): $f is still there"
	done
}

loaded_or_not() {
	read -r answer </tmp/answer
	case $answer in
	0) rmmod taskmonitor || fail "rmmod after fault $((faults + 1))" ;;
	ENOMEM) echo >>/tmp/failed_loads ;;
	*) fail "fault $((faults + 1)): $(cat /tmp/answer)" ;;
	esac
	nothing_in_sight
}

# allocations_of "PARAMETERS": how many a load asks for. None of them fails.
allocations_of() {
	tmtool fail-nth 100000 insmod /taskmonitor.ko "$1" >/tmp/answer
	! loaded || rmmod taskmonitor
	echo $((100000 - $(tail -n 1 /tmp/answer)))
}

# Cache, reserve, shrinker, monitor, sample, kthread and three files.
each_faults_of_load() {
	tmtool fail-nth 1 insmod /taskmonitor.ko '' >/tmp/answer
	is "$(tr '\n' ' ' </tmp/answer)" 'ENOMEM 0 ' 'the first allocation fails'
	nothing_left
	leave_out __kmem_cache_create_args
	# What needs a page needs it for an object.
	not_by fail_page_alloc
	each_fault loaded_or_not insmod /taskmonitor.ko 'target=1 reserve=1'
	cmp_int "$(wc -l </tmp/failed_loads)" -ge 8 'loads that failed'
}

# Without filters every allocation of the system call counts. Those before the
# module's init are the kernel's; of the hundreds after that, most are for the
# cache's files in sysfs: one in seven fails.
some_faults_of_load() {
	first=$(allocations_of period_ms=0)
	last=$(allocations_of 'target=1 reserve=1')
	cmp_int "$last" -ge $((first + 50)) 'allocations of a load'
	while [ "$first" -lt "$last" ]; do
		tmtool fail-nth "$first" insmod /taskmonitor.ko \
			'target=1 reserve=1' >/tmp/answer
		loaded_or_not
		faults=$((faults + 1))
		first=$((first + 7))
	done
	cmp_int "$(wc -l </tmp/failed_loads)" -ge 4 'loads that failed'
}

failed_loads() {
	faults_on
	watch_leaks
	load_fails EINVAL period_ms=0
	load_fails EINVAL reserve=0
	load_fails ESRCH target=4194304
	: >/tmp/input
	: >/tmp/failed_loads
	faults=0
	how=some
	! fail_nth_is_filtered || how=each
	only_below do_one_initcall
	"$how"_faults_of_load
	faults_off
	nothing_left
	note "$faults faults, $(wc -l </tmp/failed_loads) loads failed"
	case $(uname -r) in
	# Forgets the name of a cache whose files in sysfs cannot be made.
	6.1.*)
		no_news
		no_leaks sysfs_slab_add
		;;
	*) no_leaks ;;
	esac
}
t 'trap 20 each allocation of a load fails: nothing is lost, nothing is left' \
	failed_loads -

dead_and_removed() {
	watch_leaks
	tmtool churn $file "$(scaled 4000)"
	for i in 1 2 3; do
		sleeper
		add "$pid"
		kill -9 "$pid"
		wait_for 20 gone "$pid"
		drop_caches
	done
	unload
	no_leaks
}
t 'PIDs that are removed, dead or reclaimed lose nothing' dead_and_removed \
	period_ms=20

# active CACHE: objects of it in use. What the kernel only holds back, for lack
# of anything better to do with it, is given back first.
active() {
	echo 1 >"/sys/kernel/slab/$1/shrink"
	awk -v name="$1" '$1 == name { print $2 }' /proc/slabinfo
}

# With one PID a batch is one object, and what of it is lost is none.
counted_objects() {
	[ -e $sample_slab/shrink ] || skip 'no slab cache of samples'
	monitored_crowd 32
	produce 3200
	is "$(active task_sample)" \
		$(($(stat_of samples) + $(cat $parameters/reserve))) \
		'objects in use: the samples and the reserve'
	rows >/dev/null
	drop_caches
	is "$(active task_sample)" \
		$(($(stat_of samples) + $(cat $parameters/reserve))) \
		'objects in use when some were given back'
}
t 'trap 36 each object of the slab is a sample or in the reserve' counted_objects \
	period_ms=3600000

references() {
	echo "$(active pid) $(active task_struct)"
}

# few_more "PIDS TASKS": not many more are in use than then. The last of what
# has exited goes a little later.
few_more() {
	now=$(references)
	[ $((${now% *} - ${1% *})) -lt "$few" ] &&
		[ $((${now#* } - ${1#* })) -lt "$few" ]
}

# judge_references WORK COUNT: does it twice. After the second time no more are in
# use than after the first: a tenth of COUNT is the noise.
judge_references() {
	few=$(($2 / 10))
	for cache in pid task_struct; do
		[ -e /sys/kernel/slab/$cache/shrink ] || skip "no slab cache of $cache"
	done
	"$@"
	then=$(references)
	"$@"
	wait_for 20 few_more "$then" ||
		fail "pid and task_struct in use: $then, then $now"
	note "pid and task_struct in use: $then, then $now"
}

churn() {
	tmtool churn $file "$1"
}

removed_pids() {
	judge_references churn "$(scaled 4000)"
}
t 'trap 10 references: PIDs added, killed and removed' removed_pids \
	period_ms=3600000

none_monitored() {
	drop_caches
	stat_is monitors -eq 0
}

# Exited processes whose history is left to reclaim.
leave() {
	tmtool leave $file "$1"
	# A round notes who is gone.
	stop
	start
	wait_for 60 none_monitored || fail "$(stat_of monitors) are never reclaimed"
}

reclaimed_pids() {
	judge_references leave "$(scaled 4000)"
}
t 'trap 10 references: PIDs added, killed and left to reclaim' \
	reclaimed_pids period_ms=3600000

run_tests
