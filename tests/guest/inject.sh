# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Allocations that fail on demand, in kernels with fault injection. Sourced by
# suites, after lib.sh.

injectors='failslab fail_page_alloc fail_usercopy'

# inject FILE VALUE: of all injectors, those that have it.
inject() {
	for injector in $injectors; do
		f=/sys/kernel/debug/$injector/$1
		[ ! -e "$f" ] || echo "$2" >"$f"
	done
}

# From now on faults are injected wherever they can be, once a test asks.
faults_on() {
	[ -d /sys/kernel/debug/failslab ] ||
		skip 'no fault injection in this kernel'
	trap faults_off EXIT
	inject verbose 0
	inject times -1
	inject min-order 0
	inject ignore-gfp-wait 0
	inject ignore-gfp-highmem 0
}

faults_off() {
	inject probability 0
	inject cache-filter 0
	inject task-filter 0
	inject require-start 0
	inject require-end 0xffffffffffffffff
	inject reject-start 0
	inject reject-end 0
}

# function_range NAME...: where the first that the kernel has begins, and where
# what comes after it.
function_range() {
	for name; do
		awk -v name="$name" '
			found && $1 != at { print "0x" at, "0x" $1; exit }
			$3 == name { at = $1; found = 1 }' /proc/kallsyms
	done | head -n 1 | grep . || fail "no function $*"
}

# only_below FUNCTION...: the faults are in what that function calls.
only_below() {
	range=$(function_range "$@")
	inject require-start "${range% *}"
	inject require-end "${range#* }"
}

# leave_out FUNCTION...: no fault is in what that function calls. There the
# kernel logs failures at a length that takes longer than all the rest.
leave_out() {
	range=$(function_range "$@")
	inject reject-start "${range% *}"
	inject reject-end "${range#* }"
}

# not_by INJECTOR: that one injects nothing from now on.
not_by() {
	echo 1 >"/sys/kernel/debug/$1/require-end"
}

# only_below_module: the faults are in what the loaded module calls.
only_below_module() {
	set -- "$(awk '$1 == "taskmonitor" { print $6 }' /proc/modules)" \
		"$(awk '$1 == "taskmonitor" { print $2 }' /proc/modules)"
	inject require-start "$1"
	inject require-end "$(printf '0x%x' $(($1 + $2)))"
}

# Before 6.2 fail-nth looks at no filter.
fail_nth_is_filtered() {
	inject require-end 1
	tmtool fail-nth 1 put /dev/null </tmp/input >/tmp/answer
	inject require-end 0xffffffffffffffff
	is "$(wc -l </tmp/answer)" 2 'answer and distance to the fault'
	[ "$(tail -n 1 /tmp/answer)" != 0 ]
}

# each_fault JUDGE COMMAND...: tmtool does COMMAND, with /tmp/input as its input,
# while the first of its allocations fails; then while the second does; and so on
# until there are no more. JUDGE looks at /tmp/answer and /tmp/errors each time.
# $faults is how many have failed.
each_fault() {
	judge=$1
	shift
	faults=0
	while :; do
		tmtool fail-nth $((faults + 1)) "$@" </tmp/input >/tmp/answer \
			2>/tmp/errors
		"$judge"
		[ "$(tail -n 1 /tmp/answer)" = 0 ] || break
		faults=$((faults + 1))
		cmp_int "$faults" -lt 1000 'faults injected'
	done
}

# chance_faults PROBABILITY: at most one allocation fails for each time that
# one_fault is called, any of a task that is marked with make-it-fail.
chance_faults() {
	faults=0
	echo 1 >/sys/kernel/debug/failslab/task-filter
	echo "$1" >/sys/kernel/debug/failslab/probability
}

one_fault() {
	echo 1 >/sys/kernel/debug/failslab/times
}

count_fault() {
	read -r times </sys/kernel/debug/failslab/times
	[ "$times" = 1 ] || faults=$((faults + 1))
}

# fail_samples: from now on there is no memory for a sample, however long anyone
# were to wait for it. Before 6.12 that takes a word on the command line.
fail_samples() {
	# shellcheck disable=SC2154 # lib.sh has it
	f=$sample_slab/failslab
	[ "$(cat "$f")" = 1 ] || echo 1 >"$f" ||
		skip 'needs slub_debug=A,task_sample on the command line'
	echo 1 >/sys/kernel/debug/failslab/cache-filter
	echo 100 >/sys/kernel/debug/failslab/probability
}
