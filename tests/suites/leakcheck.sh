#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# scripts/leakcheck, on a module with known leaks and their innocent twins: all of them
# in one load. Notes of the form "column WAY| ..." are what which method saw: of them
# scripts/leaktable.py makes the tables of docs/memory.md.
# One by one, -s leakcheck -a each, takes half an hour on a kernel that looks for
# mistakes. Without the stacks of slab objects nothing is ever called clean.
#
# Suite:
#   kernels  6.12+traces
#   by-name  6.1 6.12 *-rt *-debug
#   memory   512M
#   needs    leaky
#   seconds  55
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

ways='kmalloc cache merged mempool kstrdup vmalloc init pages percpu kref pid batch slow'

traces=
! grep -q pid= /sys/kernel/debug/slab/pid/alloc_traces || traces=yes

# Arrays of free objects, from 7.0 on; slub_debug=U takes them away.
sheaves=$(cat /sys/kernel/slab/kmalloc-64/sheaf_capacity 2>/dev/null || echo 0)
# The status where nothing is lost. Without stacks it depends on what else the kernel
# has, and what sheaves hold is hidden from kmemleak.
clean='0 2'
[ ! -e /sys/kernel/debug/kmemleak ] || clean=0
[ "$sheaves" = 0 ] || clean=2
[ -z "$traces" ] || clean=0

# A leak is news to a reader of the log, here it is none.
dmesg -n 1

# list WAY...: as the module takes them.
list() {
	echo "$*" | tr ' ' ,
}

# check STATUS COMMAND PARAMETER...: what leakcheck says is in /tmp/said.
check() {
	expected=$1
	command=$2
	shift 2
	began=$(uptime_s)
	status=0
	leakcheck /leaky.ko "$@" -- sh -c "$command" >/tmp/said 2>&1 ||
		status=$?
	took=$(($(uptime_s) - began))
	case " $expected " in
	*" $status "*) ;;
	*) fail "leakcheck $* ends with $status, not $expected: $(tail -n 20 /tmp/said | tr '\n' '|')" ;;
	esac
	case $status in
	0) word=clean: ;;
	1) word=leak ;;
	*) word='cannot tell:' ;;
	esac
	tail -n 1 /tmp/said | grep -q "^$word " ||
		fail "the last line is no verdict for status $status: $(tail -n 20 /tmp/said | tr '\n' '|')"
	tidy
}

# tidy: all that was switched on is off again.
tidy() {
	! grep -q '^leaky ' /proc/modules || fail 'leaky is still loaded'
	is "$(ls /sys/kernel/tracing/instances)" '' 'trace instances that are left'
	is "$(cat /proc/sys/kernel/panic_on_warn)" 1 'panic_on_warn'
	[ ! -e /proc/sys/vm/mem_profiling ] ||
		is "$(cat /proc/sys/vm/mem_profiling)" 0 'mem_profiling'
}

# site_of WAY: the function that allocates what is lost. A reference is lost to what
# the kernel has allocated.
site_of() {
	case $1 in
	init) echo leaky_vmalloc_in_init ;;
	pid) echo alloc_pid ;;
	*) echo "leaky_$1" ;;
	esac
}

# found WAY COUNT: the list has it, with COUNT objects or more.
found() {
	count=$(sed -n "s/^  \([0-9]*\) x .*, by $(site_of "$1") (.*/\1/p" /tmp/said | head -n 1)
	cmp_int "${count:-0}" -ge "$2" "objects of $1 that were found: $(tail -n 20 /tmp/said | tr '\n' '|')"
}

# seen_by SITE: the methods, and how many objects each has seen.
seen_by() {
	sed -n "s/^  .*, by $1 (\(.*\))$/\1/p" /tmp/said
}

# column WAY: the same for a way; objects of which only the log knows, and no function,
# are those of its cache.
column() {
	seen=$(seen_by "$(site_of "$1")")
	if [ -z "$seen" ]; then
		seen='not visible'
		lost=$(sed -n "s/^  \([0-9]*\) x .*, slab.* leaky_$1_.*, by ? (.*/\1/p" /tmp/said)
		[ -z "$lost" ] || seen="log $lost, no function"
	fi
	note "column $1| $seen"
}

# accused: how many objects each method accuses, of those that can be had here.
accused() {
	sed -n 's/^  \(kernel \)\{0,1\}\([a-z_]*\)  *\([0-9][0-9]*\( bytes\)\{0,1\}\) of leaky.*/\2 \3/p' \
		/tmp/said | tr '\n' ',' | sed 's/,$//; s/,/, /g'
}

# Twelve runs of ten uses: what keeps the first 64 has stopped growing by then.
twins() {
	# shellcheck disable=SC2086 # one word per way is meant
	check "$clean" 'echo 10 >/proc/leaky' "innocent=$(list $ways)"
	note "column twins| $(tail -n 1 /tmp/said | sed 's/: .*//'): $(accused)"
}
t 'innocent twins of all leaks: none is accused' twins -

all_at_once() {
	# shellcheck disable=SC2086 # one word per way is meant
	check 1 'echo 5 >/proc/leaky' "leak=$(list ${ways% slow})" innocent=slow
	for way in ${ways% slow}; do
		column "$way"
	done
	for way in ${ways% slow}; do
		case $way in
		init) found init 1 ;;
		# One for each run that was counted; kmemleak does not find all.
		pid)
			if [ -n "$traces" ]; then
				found pid 10
			elif [ -e /sys/kernel/debug/kmemleak ] && [ "$sheaves" = 0 ]; then
				found pid 3
			fi
			;;
		# Otherwise the kernel's log may have it, with its cache and no function.
		batch)
			if [ -n "$traces" ] || [ -e /sys/kernel/debug/kmemleak ]; then
				found batch 50
			fi
			;;
		# kmemleak, where nothing else is left, does not find all.
		cache | merged | mempool) found "$way" 50 ;;
		*) found "$way" 60 ;;
		esac
	done
	! grep -q 'by leaky_slow' /tmp/said || fail "the twin is accused: $(tail -n 20 /tmp/said | tr '\n' '|')"
}
t 'twelve leaks at once: each with its function, and no twin' all_at_once -

slow() {
	check 1 'echo 84 >/proc/leaky' leak=slow
	column slow
	found slow 1
	cmp_int "$(grep -c '^  [0-9]* x ' /tmp/said)" -eq 1 \
		"leaks that were found: $(grep '^  [0-9]* x ' /tmp/said | tr '\n' '|')"
}
t 'one object in 1,000 uses is found' slow -

a_second() {
	check "$clean" 'echo 5 >/proc/leaky; sleep 1' innocent=kmalloc
	seconds=$(sed -n 's/^runs: .* \([0-9]*\) seconds in all/\1/p' /tmp/said)
	cmp_int "$seconds" -le 90 'seconds until a workload of one second is judged'
}
# Elsewhere it is quicker still.
[ ! -e /sys/kernel/debug/kmemleak ] ||
	t 'a workload of one second is judged within 90' a_second -

# An allocation of the task, one of a softirq with its stack and a free; only then the
# stack of the first, and one of another CPU in between.
interrupted_stack() {
	# shellcheck source=scripts/memory.sh
	. "$(dirname "$(command -v leakcheck)")/memory.sh"
	mkdir /tmp/instance
	cat >/tmp/instance/trace <<-'END'
		# tracer: nop
		   sh-186 [001] .....  1: kmalloc: call_site=a ptr=ff01 bytes_req=42 bytes_alloc=64 node=-1
		   sh-186 [001] ..s4.  2: kmem_cache_alloc: call_site=b ptr=ff02 bytes_req=8 bytes_alloc=8 node=-1
		   <idle>-0 [000] ..s1.  3: kmalloc: call_site=c ptr=ff03 bytes_req=16 bytes_alloc=16 node=-1
		   sh-186 [001] ..s4.  4: <stack trace>
		 => soft <ffffffff00000002>
		   sh-186 [001] ..s4.  5: kmem_cache_free: call_site=d ptr=ff09 name=other
		   sh-186 [001] .....  6: <stack trace>
		 => task <ffffffff00000001>
		 => write <ffffffff00000007>
		   <idle>-0 [000] ..s1.  7: <stack trace>
		 => idle <ffffffff00000003>
		   sh-186 [001] .....  8: kfree: call_site=e ptr=ff03
	END
	event_records /tmp/instance | sort | tr '\t' ' ' >/tmp/said
	is "$(tr '\n' '|' </tmp/said)" 'events slab 1 64 - task at 0xffffffff00000001;write at 0xffffffff00000007;|events slab 1 8 - soft at 0xffffffff00000002;|' \
		'what was allocated, and its stack'
}
t 'an interrupt between an allocation and its stack takes neither' interrupted_stack -

# Of the same call: the object, and the array of free ones that its cache has got.
own_use() {
	# shellcheck source=scripts/memory.sh
	. "$(dirname "$(command -v leakcheck)")/memory.sh"
	printf '%s\n' 'ffffffffc0001000 leaky_write' 'ffffffffc0002000 leaky_kref' >/tmp/symbols
	printf 'events\tslab\t1\t%d\t-\t%s;leaky_kref at 0xffffffffc0002010;\n' \
		128 'kmalloc_trace at 0xffffffff00000001' \
		512 'alloc_empty_sheaf at 0xffffffff00000002;__pcs_replace_empty_main at 0xffffffff00000003' \
		64 'kmalloc_trace at 0xffffffff00000001;sysvec_apic_timer_interrupt at 0xffffffff00000004' \
		>/tmp/records
	# Where its init function was: that, and another module that has gone since.
	printf 'alloc_traces\tslab\t%d\t0\tkmalloc-64\t__kmalloc+0x1/0x2;0xffffffffc0100010;%s+0x1/0x2;\n' \
		3 do_one_initcall 5 vfs_write >>/tmp/records
	attribute leaky '0xffffffffc0000000 16384 0xffffffffc0100000' /tmp/symbols '' </tmp/records |
		sort | tr '\t\n' ' |' >/tmp/said
	is "$(cat /tmp/said)" \
		'alloc_traces slab 3 0 kmalloc-64 the-init-function|events slab 1 128 - leaky_kref|' \
		'what the module has'
}
t 'what others allocate in between, or did where it was, is not the module'"'"'s' own_use -

cannot_tell() {
	check 2 true leak=nonsense
	check 2 'echo nonsense >/proc/leaky' innocent=kmalloc
	insmod /leaky.ko innocent=kmalloc
	leakcheck /leaky.ko -- true >/tmp/said 2>&1 && fail 'it is loaded already'
	grep -q '^cannot tell: leaky is loaded already' /tmp/said ||
		fail "the reason: $(tail -n 20 /tmp/said | tr '\n' '|')"
	rmmod leaky
	leakcheck nonsense >/tmp/said 2>&1
	is "$?" 2 'a wrong call'
	tidy
}
t 'what cannot be judged is said, and nothing is left behind' cannot_tell -

interrupted() {
	ctrl_c leakcheck /leaky.ko innocent=kmalloc -- sleep 1000
	is "$status" 130 'status after Ctrl-C'
	tidy
	leakcheck /leaky.ko innocent=kmalloc -- sleep 1000 >/tmp/said 2>&1 &
	kill_at_end $!
	checker=$pid
	wait_for 30 grep -q '^leaky ' /proc/modules || fail 'leaky is not loaded'
	wait_for 30 pidof sleep || fail 'the command does not run'
	kill "$checker"
	# A shell ends when its child does.
	killall sleep
	wait_for 30 gone "$checker" || fail 'leakcheck does not end'
	tidy
}
t 'an interrupted run leaves nothing behind' interrupted -

# A row: the way, the verdicts on the leak and on the twin, and who saw the leak.
row() {
	uses=5
	[ "$1" != slow ] || uses=84
	check '1 2' "echo $uses >/proc/leaky" "leak=$1"
	verdict=$(tail -n 1 /tmp/said | sed 's/^\(leak\|cannot tell\).*/\1/')
	[ "$verdict" = 'cannot tell' ] || found "$1" 1
	seen=$(seen_by "$(site_of "$1")")
	seconds=$took
	check '0 2' "echo $uses >/proc/leaky" "innocent=$1"
	twin=$(tail -n 1 /tmp/said | sed 's/[: ].*//; s/cannot/cannot tell/')
	note "| $1 | $verdict | $twin | $seen | $seconds |"
}

# shellcheck disable=SC2317 # only with an argument
one_by_one() {
	note "| leak, $(uname -r) | verdict | twin | seen by | seconds |"
	for way in $ways; do
		row "$way"
	done
}
[ "${1:-}" != each ] || : >"$list"
[ "${1:-}" != each ] || t 'each leak alone, and its twin' one_by_one -

run_tests
