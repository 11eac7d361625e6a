#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What happens when there is no memory: each allocation of the module is made to
# fail, one by one, and all of them for as long as it takes.
#
# Suite:
#   kernels  newest-debug
#   by-name  *-debug
#   memory   256M
#   cpus     1
#   seconds  60
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/guest/inject.sh
. "${0%/*}/inject.sh"

: >/tmp/input

# out_of_memory: what tmtool answered, now in $answer, is an error that a lack of
# memory may have. EAGAIN is one of fork()'s.
out_of_memory() {
	read -r answer </tmp/answer
	case $answer in
	ENOMEM | EFAULT | EAGAIN) return 0 ;;
	[0-9]*) return 1 ;;
	esac
	fail "fault $((faults + 1)): $(cat /tmp/answer /tmp/errors)"
}

remember() {
	cat $file $stats >/tmp/before
}

unchanged() {
	cat $file $stats | cmp - /tmp/before ||
		fail "fault $((faults + 1)) was answered $answer, and something changed"
}

added_or_not() {
	if out_of_memory; then
		unchanged
		echo "$answer" >>/tmp/memory_errors
		return
	fi
	[ "$(nr_rows "$pid")" = 1 ] || fail 'it was added without a sample'
	remove "$pid"
	balanced
	remember
}

adding() {
	faults_on
	sleeper
	add "$pid"
	sleeper
	echo "$pid" >/tmp/input
	: >/tmp/memory_errors
	remember
	only_below_module
	each_fault added_or_not put $file
	note "$faults faults: $(sort /tmp/memory_errors | uniq -c | tr -s '\n ' ' ')"
	# The monitor and its first sample.
	cmp_int "$(grep -c ENOMEM /tmp/memory_errors)" -ge 2 'times that memory was short'
	is "$(stat_of monitors)" 1 'monitors'
}
t 'each allocation of adding a PID fails: ENOMEM, and nothing half added' adding \
	period_ms=3600000

# What failed was tried again, and then the file is read as it is.
read_whole() {
	while read -r error; do
		case $error in
		ENOMEM | EFAULT) echo "$error" >>/tmp/memory_errors ;;
		*) fail "another error, $error" ;;
		esac
	done </tmp/errors
	sed '$d' /tmp/answer | cmp - /tmp/before ||
		fail "after fault $((faults + 1)), $(cat /tmp/errors), it differs"
}

reading() {
	faults_on
	monitored_crowd 3
	produce "$(scaled 4000)"
	only_below_module
	for f in $file $stats; do
		: >/tmp/memory_errors
		cat "$f" >/tmp/before
		each_fault read_whole read "$f"
		note "$f: $faults faults, $(wc -l </tmp/memory_errors) errors"
		cmp_int "$(grep -c ENOMEM /tmp/memory_errors)" -ge 2 "errors of $f"
	done
	balanced
}
t 'each allocation of opening and reading fails, and nothing is lost or doubled' \
	reading period_ms=3600000

started_or_not() {
	if out_of_memory; then
		is "$(kernel_thread)" '' 'kthreads after a start that failed'
		unchanged
		echo "$answer" >>/tmp/memory_errors
		return
	fi
	[ -n "$(kernel_thread)" ] || fail 'start succeeded, and there is no kthread'
	wait_for 20 stat_is taken -gt "$taken" || fail 'no round after start'
	stop
	taken=$(stat_of taken)
	remember
}

# A process is monitored, sampling is stopped, and what fails may be asked to start.
stopped_with_faults() {
	faults_on
	sleeper
	add "$pid"
	stop
	taken=$(stat_of taken)
	printf start >/tmp/input
	: >/tmp/memory_errors
	remember
}

starting() {
	stopped_with_faults
	only_below_module
	each_fault started_or_not put $attribute
	cmp_int "$(grep -c ENOMEM /tmp/memory_errors)" -ge 1 'starts that failed'
}
t 'each allocation of start fails: ENOMEM, and it stays stopped' starting \
	period_ms=3600000

start_once() {
	tmtool put $attribute </tmp/input >/tmp/answer
}

# The kthread is made by another one, whose allocations count.
each_faults_of_kthreadd() {
	faults=0
	while :; do
		echo $((faults + 1)) >/proc/2/fail-nth
		start_once
		read -r left </proc/2/fail-nth
		echo 0 >/proc/2/fail-nth
		started_or_not
		[ "$left" = 0 ] || break
		faults=$((faults + 1))
		cmp_int "$faults" -lt 1000 'faults injected'
	done
}

some_faults_of_kthreadd() {
	chance_faults 15
	echo 1 >/proc/2/make-it-fail
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		one_fault
		start_once
		count_fault
		started_or_not
	done
	echo 0 >/proc/2/make-it-fail
}

making() {
	stopped_with_faults
	how=some
	! fail_nth_is_filtered || how=each
	# The memory of its stack.
	leave_out __vmalloc_node_range __vmalloc_node_range_noprof
	"$how"_faults_of_kthreadd
	note "$faults faults, $(wc -l </tmp/memory_errors) errors"
	cmp_int "$(wc -l </tmp/memory_errors)" -ge 3 'starts that failed'
}
t 'each allocation of making the kthread fails: ENOMEM, and it stays stopped' \
	making period_ms=3600000

# A limit far from the five seconds that a waiting mempool takes for a look, let
# alone for ever, and far from this machine's slowest.
unload_at_once() {
	began=$(uptime_s)
	rmmod taskmonitor || fail 'rmmod fails without memory'
	cmp_int "$(($(uptime_s) - began))" -lt 20 'seconds of rmmod'
}

# survives RESERVE
survives() {
	faults_on
	load period_ms=3600000 reserve="$1"
	monitored_crowd 3
	stop
	fail_samples
	period 5
	start
	wait_for 60 stat_is recycled -ge 30 || fail 'sampling stands still'
	whole_rows $file
	stop
	is "$(stat_of samples)" $((3 + $1)) 'samples: the first ones and the reserve'
	is "$(stat_of dropped)" 0 'samples that could not be taken'
	balanced
	start
	unload_at_once
}

survives_1() {
	survives 1
}
t 'trap 6 no memory for samples, a reserve of 1: sampling goes on, rmmod works' \
	survives_1 -

survives_16() {
	survives 16
}
t 'trap 6 no memory for samples, a reserve of 16: sampling goes on, rmmod works' \
	survives_16 -

have_samples() {
	[ "$(rows | field pid | sort -u | wc -l)" -eq "$1" ]
}

poor() {
	faults_on
	stop
	monitored_crowd 5
	fail_samples
	period 5
	start
	wait_for 60 stat_is recycled -ge 20 || fail 'sampling stands still'
	wait_for 60 stat_is dropped -ge 20 || fail 'nothing is dropped'
	is "$(stat_of samples)" 2 'samples: the reserve'
	balanced
	faults_off
	wait_for 60 have_samples 5 || fail 'not all are sampled when there is memory'
	balanced
}
t 'trap 6 more PIDs than the reserve has samples: the others go on, drops are counted' \
	poor 'period_ms=3600000 reserve=2'

# The history is longer than what one read returns, so that the reader rests in
# the middle of it, with a reference to the last row.
held() {
	faults_on
	sleeper
	add "$pid"
	stop
	fail_samples
	period 5
	start
	wait_for 60 stat_is recycled -ge 10 || fail 'sampling stands still'
	is "$(stat_of samples)" 401 'samples: the first, and the reserve'
	exec 5<$file
	dd bs=1 count=1 status=none <&5 >/dev/null
	wait_for 60 stat_is samples -eq 400 ||
		fail 'the reader holds no sample, or its sample is not evicted'
	taken=$(stat_of taken)
	wait_for 60 stat_is taken -gt $((taken + 10)) || fail 'sampling stands still'
	is "$(stat_of samples)" 400 'samples while a reader holds one of 401'
	exec 5<&-
	wait_for 60 stat_is samples -eq 401 || fail 'what the reader held is not used'
	is "$(stat_of dropped)" 0 'samples that could not be taken'
	balanced
	unload_at_once
}
t 'trap 6 no memory, and a reader that holds a sample: it goes on all the same' \
	held 'period_ms=3600000 reserve=400'

pages() {
	faults_on
	monitored_crowd 4
	stop
	echo 1 >/sys/kernel/debug/fail_page_alloc/task-filter
	echo 100 >/sys/kernel/debug/fail_page_alloc/probability
	period 2
	start
	echo 1 >"/proc/$(kernel_thread)/make-it-fail"
	wait_for 100 stat_is recycled -ge 40 || fail 'sampling stands still'
	is "$(stat_of dropped)" 0 'samples that could not be taken'
	rows >/tmp/all
	whole_rows /tmp/all
	balanced
	unload_at_once
}
t 'trap 6 no page for the sampler: sampling goes on, within what it has' pages \
	period_ms=3600000

run_tests
