#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What is written: to debugfs, to sysfs, to the parameters. Each table of bad
# input is tried row by row, and none of it may change anything.
#
# Suite:
#   kernels  6.1 6.12
#   by-name  *-debug *-rt
#   seconds  18
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

# answer INPUT [FILE]: what one write(2) says, printf's escapes in the input.
answer() {
	printf %b "$1" | tmtool write "${2:-$file}"
}

snapshot() {
	cat $file $stats $attribute $parameters/period_ms $parameters/max_samples
}

# A table begins. What goes wrong is noted in a file: some rows are tried at the
# end of a pipe, in a shell of their own.
before() {
	rm -f /tmp/bad
	snapshot >/tmp/before
}

# expect ANSWER WANTED WHAT: "A|B" as WANTED leaves the choice.
expect() {
	case "|$2|" in
	*"|$1|"*) ;;
	*)
		note "$3: got '$1', expected $2"
		: >/tmp/bad
		;;
	esac
}

# refuse INPUT WANTED [FILE]
refuse() {
	expect "$(answer "$1" "${3:-$file}")" "$2" "writing '$1'"
}

# A table ends.
after() {
	snapshot | cmp - /tmp/before || fail 'a refused write changed something'
	all_expected
}

all_expected() {
	! [ -e /tmp/bad ] || fail 'not the right answers'
}

# Sets $pid to a process that is not monitored, beside one that is.
with_history() {
	sleeper
	add "$pid"
	sleeper
	stop
	before
}

# The bad rows name a process that could be added: if one is taken, it shows.
words() {
	with_history
	for input in 0 -0 00 -00 "+$pid" "-+$pid" "+-$pid" "--$pid" "- $pid" \
		+ - '-\n' '\n' '\n\n' ' ' abc pid "$pid\n\n" "\n$pid" " $pid" \
		"$pid " "$pid x" "$pid $pid" "$pid\n$pid" "${pid}x" "x$pid" 0x1 \
		"0x$pid" "$pid.0" "${pid}e0" "$pid\r\n" "$pid\t" "$pid\0" "$pid\0\n" \
		"$pid\n\0" "$pid\0x" "\0$pid" '\0' "$pid," "$pid;" "\0377$pid"; do
		refuse "$input" EINVAL
	done
	expect "$(tmtool write $file </dev/null)" EINVAL 'writing nothing'
	after
}
t 'debugfs refuses what is not one decimal PID: EINVAL' words

range() {
	with_history
	for input in 2147483648 4294967295 4294967296 $((4294967296 + pid)) \
		99999999999 -2147483648 -2147483649 $((-4294967296 - pid)) \
		18446744073709551617 -18446744073709551617; do
		refuse "$input" 'ERANGE|EINVAL'
		refuse "$input\n" 'ERANGE|EINVAL'
	done
	after
}
t 'debugfs refuses what does not fit an int: ERANGE or EINVAL' range

# many N CHARACTER: on stdout.
many() {
	head -c "$1" /dev/zero | tr '\0' "$2"
}

# padded SIZE CHARACTER: the PID, and that up to the size.
padded() {
	printf %s "$pid"
	many $(($1 - ${#pid})) "$2"
}

# refuse_stdin WHAT: twelve digits are also a number that is too large.
refuse_stdin() {
	expect "$(tmtool write $file)" 'EINVAL|ERANGE' "$1"
}

long() {
	with_history
	for size in 12 13 14 32 33 34 35 64 300 4096 4097 70000; do
		for c in x ' ' '\n' '\0' 9; do
			padded "$size" "$c" | refuse_stdin "$pid and '$c' up to $size"
		done
		[ "$size" -gt 12 ] || continue
		many "$size" 0 | refuse_stdin "$size zeros"
		{
			many $((size - ${#pid})) 0
			printf %s "$pid"
		} | refuse_stdin "$pid after zeros, $size in all"
	done
	after
}
t 'debugfs refuses what is longer than any PID: EINVAL, never cut' long

pointers() {
	with_history
	for address in 0 1 0x1000 0x7fffffffe000; do
		expect "$(tmtool write-from $file $address 4)" EFAULT \
			"writing from $address"
	done
	# These the kernel itself turns down; here for the day it does not.
	for address in 0x8000000000000000 0xffff888000000000 0xffffffff81000000 \
		0xfffffffffffffffe; do
		expect "$(tmtool write-from $file $address 4)" EFAULT \
			"writing from $address"
	done
	expect "$(tmtool write-from $file 0 70000)" 'EFAULT|EINVAL' \
		'writing much from nowhere'
	expect "$(printf %s "$pid" | tmtool write-edge $file 1)" EFAULT \
		'writing a byte more than can be read'
	expect "$(printf '%s\n' "$pid" | tmtool write-edge $file 4)" EFAULT \
		'writing four bytes more than can be read'
	after
	is "$(printf %s "$pid" | tmtool write-edge $file 0)" ${#pid} \
		'writing up to the edge'
	is "$(stat_of monitors)" 2 'monitors'
}
t 'debugfs refuses an address that cannot be read: EFAULT' pointers

unknown() {
	sleeper
	exited=$pid
	kill -9 "$exited"
	wait_for 10 gone "$exited" || fail 'a killed process stays'
	with_history
	for input in "$exited" 4194304 4194305 2147483647; do
		refuse "$input" ESRCH
	done
	for input in "-$pid" "-$exited" -1 -4194305 -2147483647; do
		refuse "$input" ENOENT
		refuse "$input\n" ENOENT
	done
	after
}
t 'debugfs: no such process ESRCH, not monitored ENOENT' unknown

twice() {
	sleeper
	add "$pid"
	is "$(answer "$pid")" EEXIST 'the second time'
	is "$(answer "$pid\n")" EEXIST 'the third time'
	is "$(stat_of monitors)" 1 'monitors'
	wait_for 10 has_rows 10 || fail 'no ten samples in ten seconds'
	stop
	is "$(rows | field time | sort | uniq -d)" '' 'times that two samples have'
	before
	refuse "$pid" EEXIST
	after
	remove "$pid"
	is "$(answer "-$pid")" ENOENT 'removing it twice'
}
t 'trap 26 a PID that is monitored already: EEXIST, one row a period' twice \
	period_ms=10

good() {
	sleeper
	for input in "$pid" "$pid\n" "0$pid" "00$pid\n"; do
		printf %b "$input" >/tmp/input
		is "$(answer "$input")" "$(wc -c </tmp/input)" "writing '$input'"
		# Decimal it stays with zeros in front.
		is "$(rows | field pid)" "$pid" "the PID after writing '$input'"
		is "$(answer "-$input")" $(($(wc -c </tmp/input) + 1)) \
			"writing '-$input'"
		is "$(stat_of monitors)" 0 "monitors after writing '-$input'"
	done
}
t 'trap 12 debugfs takes a PID with and without a newline, and says how long it was' \
	good period_ms=3600000

split() {
	sleeper
	one=$pid
	sleeper
	stop
	is "$(printf '%s\n%s\n' "$one" "$pid" |
		tmtool write $file $((${#one} + 1)) 100 | tr '\n' ' ')" \
		"$((${#one} + 1)) $((${#pid} + 1)) " 'two writes'
	is "$(stat_of monitors)" 2 'monitors'
	is "$(printf -- '-%s-%sx' "$one" "$pid" |
		tmtool write $file $((${#one} + 1)) $((${#pid} + 1)) 1 |
		tr '\n' ' ')" "$((${#one} + 1)) $((${#pid} + 1)) EINVAL " \
		'three writes'
	is "$(stat_of monitors)" 0 'monitors'
	is "$(printf %s "$pid" | tmtool writev $file 100)" ${#pid} 'writev'
	is "$(printf x | tmtool writev $file 1)" EINVAL 'writev of junk'
	is "$(stat_of monitors)" 1 'monitors'
}
t 'debugfs takes one PID per write(2), any number on a file' split

offsets() {
	with_history
	for offset in 0 1 4096; do
		expect "$(printf %s "$pid" | tmtool pwrite $file $offset)" ESPIPE \
			"writing at $offset"
	done
	after
}
t 'debugfs is written to where it is: pwrite is ESPIPE' offsets

modes() {
	is "$(stat -c %a $file)" 600 'mode of the history'
	is "$(stat -c %a $stats)" 400 'mode of the statistics'
	is "$(stat -c %a $attribute)" 600 'mode of the attribute'
	is "$(stat -c %a $parameters/target)" 444 'mode of target'
	is "$(stat -c %a $parameters/reserve)" 444 'mode of reserve'
	is "$(stat -c %a $parameters/period_ms)" 644 'mode of period_ms'
	is "$(stat -c %a $parameters/max_samples)" 644 'mode of max_samples'
	is "$(cat $parameters/target)" 0 'target'
	is "$(cat $parameters/reserve)" 64 'reserve'
	is "$(cat $parameters/period_ms)" 1000 'period_ms'
	is "$(cat $parameters/max_samples)" 0 'max_samples'
}
t 'files and parameters have their modes and defaults' modes

# One thread spins beside the main one: each TID has its own figures, the PID
# has all of them.
tid() {
	tool spin user 1
	spinning=$(other_threads "$pid")
	add "$pid"
	add "$spinning"
	is "$(answer "$spinning")" EEXIST 'adding a thread twice'
	wait_for 20 cpu_passes 100000000 "$spinning" || fail 'the spinner stands still'
	stop
	is "$(rows "$spinning" | field threads | sort -u)" 1 'threads of a thread'
	is "$(rows "$pid" | field threads | sort -u)" 2 'threads of the process'
	is "$(rows "$spinning" | field total | tail -n 1)" \
		"$(rows "$pid" | field total | tail -n 1)" 'memory that they share'
	tool spin user 1
	add "$pid"
	remove "$spinning"
	is "$(stat_of monitors)" 2 'monitors'
	is "$(rows "$spinning")" '' 'rows of the thread'
}
t 'the TID of another thread is monitored alone, its process as a whole' tid \
	period_ms=20

# cpu_of PID: the CPU time of its last row, in ns.
cpu_of() {
	rows "$1" | awk '{ sum = $4 + $6 } END { printf "%.0f\n", sum }'
}

cpu_passes() {
	[ "$(cpu_of "$2")" -ge "$1" ]
}

# The other way around: the thread that sleeps shows nothing of its process.
tid_idle() {
	tool leader-exit
	add "$pid"
	main=$pid
	tool threads 1
	idle=$(other_threads "$pid")
	add "$idle"
	wait_for 20 cpu_passes 200000000 "$main" || fail 'the spinner stands still'
	stop
	cmp_int "$(cpu_of "$idle")" -lt 100000000 'ns of an idle thread'
	is "$(rows "$idle" | field state | tail -n 1)" S 'state of an idle thread'
}
t 'a TID shows its own CPU time and state only' tid_idle period_ms=20

namesake() {
	fork_with_pid 20000 sleep 100000
	add 20000
	kill -9 20000
	wait_for 10 stat_is ended -eq 1 || fail 'no final row'
	wait_for 10 gone 20000 || fail 'a killed process stays'
	fork_with_pid 20000 sleep 100000
	is "$(stat_of monitors)" 1 'monitors'
	add 20000
	is "$(answer 20000)" EEXIST 'adding the new one twice'
	is "$(stat_of monitors)" 2 'monitors'
	is "$(nr_rows 20000)" 3 'rows under that number'
	sleeper
	add "$pid"
	remove 20000
	is "$(stat_of monitors)" 1 'monitors'
	is "$(nr_rows 20000)" 0 'rows under that number'
	is "$(nr_rows)" 1 'rows of another'
	is "$(answer -20000)" ENOENT 'removing it twice'
	balanced
}
t '-N removes an exited namesake too' namesake period_ms=3600000

# In a PID namespace: sleep is its number 2 or so, which outside is kthreadd.
# shellcheck disable=SC2016 # the shell inside expands this
inside='
	sleep 100000 &
	echo $! >/tmp/inside/pid
	cat $file $attribute >/tmp/inside/before
	answer() { printf %s "$1" | tmtool write $file; }
	answer $outside >/tmp/inside/outside
	answer -$outside >/tmp/inside/not_outside
	answer $! >/tmp/inside/add
	cat $file >/tmp/inside/rows
	cat $attribute >/tmp/inside/page
	answer $! >/tmp/inside/again
	: >/tmp/inside/done
	until [ -e /tmp/inside/remove ]; do usleep 20000; done
	answer -$! >/tmp/inside/gone
	cat $file >/tmp/inside/after
	: >/tmp/inside/removed
	until [ -e /tmp/inside/end ]; do usleep 20000; done
'

namespaced() {
	unshare -f -p true || skip 'no PID namespaces in this kernel'
	rm -rf /tmp/inside
	mkdir /tmp/inside
	trap ': >/tmp/inside/remove; : >/tmp/inside/end' EXIT
	# A number that is not in use inside.
	fork_with_pid 20000 sleep 100000
	add 20000
	add 2
	rows >/tmp/outside
	file=$file attribute=$attribute outside=20000 \
		unshare -f -p sh -c "$inside" &
	wait_for 60 test -e /tmp/inside/done || fail 'nothing happens inside'
	is "$(cat /tmp/inside/before)" '' 'rows that are invisible inside'
	is "$(cat /tmp/inside/outside)" ESRCH 'adding a number from outside'
	is "$(cat /tmp/inside/not_outside)" ENOENT 'removing a number from outside'
	number=$(cat /tmp/inside/pid)
	is "$(cat /tmp/inside/add)" ${#number} 'adding inside'
	is "$(cat /tmp/inside/again)" EEXIST 'adding twice inside'
	is "$(field pid </tmp/inside/rows)" "$number" 'PIDs shown inside'
	cmp /tmp/inside/rows /tmp/inside/page || fail 'sysfs inside is different'
	# Outside it has another number, and the same figures.
	rows | grep -vxFf /tmp/outside >/tmp/new
	is "$(cut -d ' ' -f 3- /tmp/new)" "$(cut -d ' ' -f 3- /tmp/inside/rows)" \
		'its row outside'
	is "$(tr '\0' ' ' <"/proc/$(field pid </tmp/new)/cmdline")" \
		'sleep 100000 ' 'who has that number outside'
	is "$(stat_of monitors)" 3 'monitors'
	# The same number removed inside is not the one outside.
	: >/tmp/inside/remove
	wait_for 60 test -e /tmp/inside/removed || fail 'nothing happens inside'
	is "$(cat /tmp/inside/gone)" $((${#number} + 1)) 'removing inside'
	is "$(cat /tmp/inside/after)" '' 'rows inside'
	rows | cmp - /tmp/outside || fail 'removing inside changed what is outside'
	: >/tmp/inside/end
	wait $!
}
t 'trap 29 PIDs are those of the writer'\''s and the reader'\''s namespace' \
	namespaced period_ms=3600000

# A reader inside sees what there is for it behind rows that are not.
namespace_skips() {
	unshare -f -p true || skip 'no PID namespaces in this kernel'
	rm -rf /tmp/inside
	mkdir /tmp/inside
	trap ': >/tmp/inside/end' EXIT
	monitored_crowd 100
	# shellcheck disable=SC2016 # the shell inside expands this
	file=$file attribute=$attribute unshare -f -p sh -c '
		for _ in 1 2 3; do
			sleep 100000 &
			echo $! >$file
			cat $attribute >>/tmp/inside/page
		done
		cat $file >/tmp/inside/rows
		cat $attribute >/tmp/inside/page
		: >/tmp/inside/done
		until [ -e /tmp/inside/end ]; do usleep 20000; done' &
	wait_for 60 test -e /tmp/inside/done || fail 'nothing happens inside'
	is "$(wc -l </tmp/inside/rows)" 3 'rows inside'
	sort -r -n -k 20 /tmp/inside/rows | cmp - /tmp/inside/page ||
		fail 'sysfs inside does not show the newest of what is visible'
	: >/tmp/inside/end
	wait $!
}
t 'PIDs that a reader may not see are skipped, in sysfs too' namespace_skips \
	period_ms=3600000

sampling() {
	kernel_thread >/dev/null
}

# sysfs INPUT WANTED
sysfs() {
	refuse "$1" "$2" $attribute
}

words_sysfs() {
	for state in start stop; do
		$state
		before
		for input in stopx startx START STOP Stop 'stop stop' 'start stop' \
			' stop' 'stop ' 'stop\n\n' 'stop\nx' 'stop\0' 'stop\0\n' \
			'start\0x' '\0stop' '\nstop' '\n' ' ' s sto st 1 0 "$$"; do
			sysfs "$input" EINVAL
		done
		# The kernel itself answers that.
		expect "$(tmtool write $attribute </dev/null)" '0|EINVAL' \
			'writing nothing'
		for size in 300 4096 5000; do
			expect "$({ printf stop && many $size ' '; } |
				tmtool write $attribute)" EINVAL "stop and $size blanks"
		done
		is "$(kernel_thread | wc -w)" \
			"$([ $state = stop ] && echo 0 || echo 1)" "threads after $state"
		after
	done
}
t 'trap 22 sysfs refuses all but stop and start: EINVAL' words_sysfs \
	period_ms=3600000

good_sysfs() {
	for input in stop start 'stop\n' 'start\n' stop 'stop\n' start 'start\n'; do
		printf %b "$input" >/tmp/input
		is "$(answer "$input" $attribute)" "$(wc -c </tmp/input)" \
			"writing '$input'"
		case $input in
		stop*) ! sampling || fail 'a thread after stop' ;;
		start*) is "$(kernel_thread | wc -w)" 1 'threads after start' ;;
		esac
	done
}
t 'sysfs takes stop and start with and without a newline, any number of times' \
	good_sysfs

parameters_written() {
	sleeper
	add "$pid"
	before
	for input in 0 -1 -1000 3600001 4294967295 4294967306 99999999999 \
		18446744073709551617 abc 10x '10 20' 1.5 ' ' '\n' + -; do
		refuse "$input" 'EINVAL|ERANGE' $parameters/period_ms
	done
	for input in abc -1 10x '1 2' 18446744073709551616; do
		refuse "$input" 'EINVAL|ERANGE' $parameters/max_samples
	done
	after
	for input in 3600000 1 '20\n'; do
		printf %b "$input" >/tmp/input
		is "$(answer "$input" $parameters/period_ms)" \
			"$(wc -c </tmp/input)" "writing '$input'"
		is "$(cat $parameters/period_ms)" "$(cat /tmp/input)" 'period_ms'
	done
}
t 'parameters out of range are refused, and stay as they were' \
	parameters_written period_ms=3600000

# The parameters of a load that fails, and how.
bad_loads() {
	cat <<-EOF
		period_ms=0 EINVAL
		period_ms=-1 EINVAL|ERANGE
		period_ms=3600001 EINVAL
		period_ms=4294967306 EINVAL|ERANGE
		period_ms=99999999999 EINVAL|ERANGE
		period_ms=abc EINVAL
		period_ms= EINVAL
		period_ms EINVAL
		reserve=0 EINVAL
		reserve=-1 EINVAL|ERANGE
		reserve=65537 EINVAL
		reserve=4294967360 EINVAL|ERANGE
		reserve=abc EINVAL
		max_samples=abc EINVAL
		max_samples=-1 EINVAL
		target=abc EINVAL
		target=99999999999 EINVAL|ERANGE
		target=4294967297 EINVAL|ERANGE
		target=-1 ESRCH
		target=4194305 ESRCH
		target=2147483647 ESRCH
		target=-2147483648 ESRCH
	EOF
}

loads() {
	rm -f /tmp/bad
	bad_loads >/tmp/loads
	while read -r words wanted; do
		expect "$(tmtool insmod /taskmonitor.ko "$words")" "$wanted" "$words"
		! loaded || fail "loaded with $words"
		! [ -e $attribute ] || fail "left its files behind with $words"
		! [ -e $file ] || fail "left its files behind with $words"
		! grep '^task_sample ' /proc/slabinfo || fail "a slab cache after $words"
	done </tmp/loads
	all_expected
	load || fail 'does not load after that'
}
t 'a load with bad parameters fails, says why and leaves nothing behind' loads -

limits() {
	load period_ms=1 reserve=1 max_samples=1 || fail 'the lowest are refused'
	rmmod taskmonitor
	load period_ms=3600000 reserve=65536 max_samples=18446744073709551615 ||
		fail 'the highest are refused'
	cmp_int "$(awk '$1 == "task_sample" { print $2 }' /proc/slabinfo)" \
		-ge 65536 'objects in reserve'
	is "$(cat $parameters/reserve)" 65536 'reserve'
	is "$(cat $parameters/period_ms)" 3600000 'period_ms'
}
t 'a load takes every parameter at its limits' limits -

target() {
	sleeper
	load "target=$pid" period_ms=3600000 || fail 'does not load'
	wait_for 10 has_rows 1 "$pid" || fail 'no sample from load on'
	is "$(stat_of monitors)" 1 'monitors'
	is "$(cat $parameters/target)" "$pid" 'target'
	is "$(answer "$pid")" EEXIST 'adding the target'
	remove "$pid"
	is "$(rows)" '' 'rows'
}
t 'target is monitored from load on' target -

run_tests
