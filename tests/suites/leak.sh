#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# All that was allocated is freed: by kmemleak, as leakcheck asks it, and by the slabs of
# what the module holds references to. Of one life with much use leakcheck itself tells:
# selfcheck. Here it is many lives, and loads that fail.
#
# From 7.0 on the slab keeps free objects in arrays, where old pointers stay: what is
# lost has a reference for kmemleak. A cache that is debugged, with F, has no array.
#
# Suite:
#   kernels  newest-debug
#   by-name  *-debug
#   memory   256M
#   cpus     1
#   needs    kunit
#   cmdline  kunit.enable=0 slub_debug=A,task_sample;F,kmalloc-*
#   seconds  60
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/guest/inject.sh
. "${0%/*}/inject.sh"

# shellcheck source=scripts/memory.sh
. "$(dirname "$(command -v leakcheck)")/memory.sh"

parts=/tmp/parts
leaks=/tmp/leaks
: >$parts

# A search costs as much as the rest of a test, so there is one for all of them,
# the last. When an object was allocated tells which test lost it.

# part NAME: what is allocated from now on is that part's.
part() {
	[ -e "$tm_kmemleak" ] || skip 'no kmemleak in this kernel'
	echo "$(now_jiffies) $1" >>$parts
}

# find_leaks [FUNCTION]: to one file for each part that has lost something, a line for
# each object. What FUNCTION has allocated is left out: that is the kernel's to lose.
find_leaks() {
	kmemleak_search "$(uptime_s)" || fail 'kmemleak has switched itself off'
	dd if="$tm_kmemleak" of=$leaks bs=4096 status=none || fail 'kmemleak tells nothing'
	tm_kmemleak=$leaks
	before=
	sort -rn $parts >/tmp/parts.last-first
	while read -r since name; do
		kmemleak_records "$since" "$before" | grep -v "[	;]${1:-none}+" >$leaks."$name" ||
			rm $leaks."$name"
		before=$since
	done </tmp/parts.last-first
}

nr_leaks() {
	wc -l <"$1"
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
	drop_caches
	is "$(active task_sample)" \
		$(($(stat_of samples) + $(cat $parameters/reserve))) \
		'objects in use when some were given back'
}
t 'trap 36 each object of the slab is a sample or in the reserve' counted_objects \
	period_ms=3600000

# life N: of the same crowd while it lives.
life() {
	load period_ms=5 target=1
	[ -s /tmp/crowd ] || crowd 3
	while read -r pid; do
		add "$pid"
	done </tmp/crowd
	wait_for 60 stat_is taken -ge 30 || fail 'no 30 samples in a minute'
	rows >/dev/null
	dd if=$file bs=100 count=3 of=/dev/null status=none
	remove "$pid"
	drop_caches
	[ $(($1 % 2)) -eq 0 ] || stop
	if [ $(($1 % 3)) -eq 0 ]; then
		clean_up
		: >/tmp/crowd
	fi
	! loaded || unload
}

lives() {
	part lives
	: >/tmp/crowd
	for i in 1 2 3 4 5 6 7 8 9 10; do
		life $i
	done
	nothing_left
}
t 'ten lives of the module leave nothing' lives -

# allocations_of "PARAMETERS": how many a load asks for. None of them fails.
allocations_of() {
	tmtool fail-nth 100000 insmod /taskmonitor.ko "$1" >/tmp/answer
	! loaded || rmmod taskmonitor
	echo $((100000 - $(tail -n 1 /tmp/answer)))
}

# faults_of_load FIRST STEP: sets $faults and $failed.
faults_of_load() {
	tmtool load-faults /taskmonitor.ko taskmonitor 'target=1 reserve=1' \
		"$1" "$2" /sys/module/taskmonitor "$file" "$stats" \
		"$attribute" "$sample_slab" >/tmp/answer || fail 'a load goes wrong'
	read -r faults failed </tmp/answer
}

# Cache, reserve, shrinker, monitor, sample, kthread and three files.
each_faults_of_load() {
	tmtool fail-nth 1 insmod /taskmonitor.ko '' >/tmp/answer
	is "$(tr '\n' ' ' </tmp/answer)" 'ENOMEM 0 ' 'the first allocation fails'
	nothing_left
	leave_out __kmem_cache_create_args
	# What needs a page needs it for an object.
	not_by fail_page_alloc
	faults_of_load 1 1
	cmp_int "$failed" -ge 8 'loads that failed'
}

# Without filters every allocation of the system call counts. Those before the
# module's init are the kernel's; of the hundreds after that, most are for the
# cache's files in sysfs: one in seven fails.
some_faults_of_load() {
	faults_of_load "$(allocations_of period_ms=0)" 7
	cmp_int "$faults" -ge 8 'allocations of a load that failed'
	cmp_int "$failed" -ge 4 'loads that failed'
}

failed_loads() {
	faults_on
	part failed_loads
	load_fails EINVAL period_ms=0
	load_fails EINVAL reserve=0
	load_fails ESRCH target=4194304
	: >/tmp/input
	how=some
	! fail_nth_is_filtered || how=each
	only_below do_one_initcall
	"$how"_faults_of_load
	faults_off
	nothing_left
	note "$faults faults, $failed loads failed"
}
t 'trap 20 each allocation of a load fails: nothing is left' failed_loads -

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
# use than after the first. Slabs in use by a CPU count as full, which is the noise: a
# fifth of COUNT, where a reference lost in one of churn's four orders makes a quarter.
judge_references() {
	few=$(($2 / 5))
	for cache in pid task_struct; do
		[ -e /sys/kernel/slab/$cache/shrink ] || skip "no slab cache of $cache"
	done
	"$@"
	then=$(references)
	"$@"
	# Fifty looks, of which each takes a third of a second here.
	wait_for 1 few_more "$then" ||
		fail "pid and task_struct in use: $then, then $now"
	note "pid and task_struct in use: $then, then $now"
}

churn() {
	tmtool churn $file "$1"
}

removed_pids() {
	part removed_pids
	judge_references churn "$(scaled 2400)"
}
t 'trap 10 references: PIDs added, killed and removed' removed_pids period_ms=20

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

# A multiple of the shrinker's batch, for what is less than one may stay.
reclaimed_pids() {
	part reclaimed_pids
	judge_references leave "$(scaled 2400)"
}
t 'trap 10 references: PIDs added, killed and left to reclaim' \
	reclaimed_pids period_ms=3600000

# The proof that the last test can fail.
lost_on_purpose() {
	part lost_on_purpose
	insmod /taskmonitor-kunit.ko || fail 'the module with the unit tests'
	echo 20 >$parameters/lose
	unload
	part the_search
	no_news
	case $(uname -r) in
	# Forgets the name of a cache whose files in sysfs cannot be made.
	6.1.*) find_leaks sysfs_slab_add ;;
	*) find_leaks ;;
	esac
	lost=$leaks.lost_on_purpose
	# What an old stack still points to is not seen.
	cmp_int "$(nr_leaks $lost)" -ge 15 'of 20 objects that were lost on purpose'
	cmp_int "$(cut -f 4 $lost | grep -cx '256\|512')" -ge 15 'of their size'
}
t 'control: what is lost on purpose is found' lost_on_purpose -

no_leaks() {
	[ -s $leaks ] || fail 'there was no search'
	for lost in "$leaks".*; do
		[ "$lost" = $leaks.lost_on_purpose ] ||
			note "$(nr_leaks "$lost") objects of ${lost#"$leaks."}: $(head -n 40 "$lost")"
	done
	is "$(echo $leaks.*)" $leaks.lost_on_purpose 'parts that lose something'
}
t 'T1Q4 lives, failed loads, PIDs removed, dead or reclaimed: they lose nothing' \
	no_leaks -

run_tests
