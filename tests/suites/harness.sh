#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The harness tests itself: every way in which a VM can end, and every way in
# which a build can fail, must be told apart; so must a kernel that cannot be had
# from an error. Prints KTAP.
# HARNESS_KERNEL: the kernel to boot (default 6.12)
#
# Suite:
#   kernels  host
#   seconds  100
#
# Traps and expect call functions where shellcheck does not see it:
# shellcheck disable=SC2317
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/../../scripts/lib.sh"

kernel=${HARNESS_KERNEL:-6.12}
work=$(mktemp -d)
background='' hung=''
# As it was before a test changed it in a subshell.
host_path=$PATH

cleanup() {
	for p in $background $hung; do
		kill "$p" 2>/dev/null || :
	done
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

count=0
failed=0

# result NAME STATUS: one line of the report.
result() {
	count=$((count + 1))
	if [ "$2" -eq 0 ]; then
		printf 'ok %d - %s\n' "$count" "$1"
	else
		printf 'not ok %d - %s\n' "$count" "$1"
		sed 's/^/# /' "$work/log"
		failed=1
	fi
}

# expect NAME STATUS REGEX COMMAND...: its exit status, and a line among what
# it prints; no line where there is no REGEX.
expect() {
	what=$1 want=$2 regex=$3
	shift 3
	got=0
	"$@" >"$work/log" 2>&1 || got=$?
	verdict=0
	if [ "$got" -ne "$want" ] ||
		{ [ -n "$regex" ] && ! grep -Eq -- "$regex" "$work/log"; }; then
		verdict=1
	fi
	echo "(expected: status $want and '$regex'; status was $got)" >>"$work/log"
	result "$what" "$verdict"
}

# until_true SECONDS COMMAND...
until_true() {
	deadline=$(($(date +%s) + $1))
	shift
	until "$@"; do
		[ "$(date +%s)" -lt "$deadline" ] || return 1
		sleep 0.1
	done
}

# guest NAME: what stdin holds becomes /NAME in every guest below.
guest() {
	{
		echo '#!/bin/sh'
		cat
	} >"$work/$1"
	chmod +x "$work/$1"
	guests="${guests:-} -f $work/$1:/$1"
}

vm() {
	"$tm_scripts/vm.sh" -k "$kernel" -i "$work/cpio" -c 1 -t 200 "$@"
}

guest good <<-'END'
	read -r line <&0 && exit 1
	echo "arguments $# $1 $2 $(cat /mnt/hello)" >&3
	[ -d /sys/kernel/debug/bdi ] && [ "$$" -ne 1 ]
END
guest bad <<-'END'
	exit 3
END
guest crash <<-'END'
	echo c >/proc/sysrq-trigger
END
# The log says it, the guest is content: it must fail all the same.
guest report <<-'END'
	echo 'WARNING: CPU: 0 PID: 1 at planted.c:1' >/dev/kmsg
END
guest loop <<-'END'
	echo looping >&3
	while :; do sleep 1; done
END

test_reports() {
	cat >"$work/quiet" <<-'END'
		[    0.100000] Spectre V2 : WARNING: Unprivileged eBPF is enabled
		[    0.200000] taskmonitor: loading out-of-tree module taints kernel.
		[    0.300000] check: Scanning for low memory corruption every 60 seconds
		[    0.400000] Out of memory: Killed process 7 (hog)
		WARNING: not the kernel's word
	END
	expect 'an innocent log holds no report' 0 '^none$' report_in "$work/quiet"
	while read -r line; do
		printf '[    1.000000] hello\n[   12.345678] %s\n' "$line" >"$work/line"
		expect "a report is seen: $line" 0 '^2$' report_in "$work/line"
	done <<-'END'
		WARNING: possible circular locking dependency detected
		BUG: KASAN: slab-use-after-free in f+0x1/0x2 [taskmonitor]
		BUG task_sample (Tainted: G): Poison overwritten
		INFO: task rmmod:92 blocked for more than 20 seconds.
		watchdog: BUG: soft lockup - CPU#0 stuck for 22s!
		rcu: INFO: rcu_preempt self-detected stall on CPU
		UBSAN: array-index-out-of-bounds in f.c:1:2
		ODEBUG: free active (active state 0) object: 1
		Oops: 0000 [#1] PREEMPT SMP NOPTI
		------------[ cut here ]------------
		list_add corruption. prev->next should be next
		refcount_t: underflow; use-after-free.
		kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
		Kernel panic - not syncing: sysrq triggered crash
		seq_file: buggy .next function tm_seq_next [taskmonitor] did not update position index
	END
}

# The race of debugfs is known by its function, in any order in which two CPUs tell of
# it; any other report counts, and one that is announced and has no name too.
test_known_report() {
	cat >"$work/known" <<-'END'
		[   50.522772] ------------[ cut here ]------------
		[   50.523132] debugfs file owner did not clean up at exit: taskmonitor_stats
		[   50.523897] WARNING: CPU: 1 PID: 76 at fs/debugfs/file.c:418 full_proxy_open+0xa7/0x2f7
		[   50.526472] ------------[ cut here ]------------
		[   50.526939] WARNING: CPU: 0 PID: 75 at fs/debugfs/file.c:418 full_proxy_open+0xa7/0x2f7
	END
	expect 'the known race of debugfs is no report' 0 '^none$' \
		report_in "$work/known"
	expect 'and it is counted' 0 '^2$' known_reports "$work/known"
	cat >"$work/newer" <<-'END'
		[   50.522772] ------------[ cut here ]------------
		[   50.523132] WARNING: fs/debugfs/file.c:461 at full_proxy_open_regular+0xa7/0x2f7, CPU#1: cat/76
	END
	expect 'nor is it as 7.x puts it' 0 '^none$' report_in "$work/newer"
	for line in '------------[ cut here ]------------' \
		'WARNING: CPU: 1 PID: 76 at fs/debugfs/file.c:99 debugfs_file_get+0x1/0x2' \
		'BUG: KASAN: slab-use-after-free in full_proxy_open+0x1/0x2'; do
		{
			cat "$work/known"
			printf '[   51.000000] %s\n' "$line"
		} >"$work/unknown"
		expect "beside it a report is seen: $line" 0 '^6$' \
			report_in "$work/unknown"
	done
}

report_in() {
	found=$(first_report "$1")
	echo "${found:-none}"
}

# In the background, for it takes its whole time.
start_hung() {
	"$tm_scripts/vm.sh" -k "$kernel" -i "$work/cpio" -c 1 -t 40 \
		-a tm.run=/loop >"$work/hung" 2>&1 &
	hung=$!
}

test_hung() {
	status=0
	wait "$hung" || status=$?
	hung=''
	expect 'the time limit lets a VM run until then' 0 '^looping$' \
		cat "$work/hung"
	expect 'it is told as HUNG, status 4' 0 '^HUNG:' \
		sh -c "cat '$work/hung'; [ $status -eq 4 ]"
}

test_outcomes() {
	mkdir "$work/disk"
	echo 'disk read' >"$work/disk/hello"
	mke2fs -q -t ext4 -d "$work/disk" "$work/disk.img" 8M >/dev/null
	expect 'success, with arguments and a disk' 0 '^arguments 2 a b disk read$' \
		vm -d "$work/disk.img" -a 'tm.run=/good tm.args=a,b'
	expect 'failure' 1 '^TM-EXIT 3$' vm -a tm.run=/bad
	expect 'a command that is not there' 1 '^TM-EXIT 127$' vm -a tm.run=/none
	expect 'a panic' 5 'Kernel panic - not syncing: sysrq' vm -a tm.run=/crash
	expect 'a report beside a good verdict' 5 '^TM-EXIT 0$' vm -a tm.run=/report
}

# A VM that loops, in the background; its QEMU's number in $qemu_pid.
start_loop() {
	rm -rf "$work/loop.d"
	"$tm_scripts/vm.sh" -k "$kernel" -i "$work/cpio" -c 1 -t 200 \
		-a tm.run=/loop -l "$work/loop.d" >"$work/killed" 2>&1 &
	background=$!
	until_true 200 grep -qs looping "$work/loop.d/verdict.log" ||
		die 'the VM that is to be killed did not come up'
	qemu_pid=$(cat "$work/loop.d/qemu.pid")
}

is_gone() {
	! kill -0 "$qemu_pid" 2>/dev/null
}

test_ends() {
	start_loop
	kill -9 "$qemu_pid"
	status=0
	wait "$background" || status=$?
	background=''
	expect 'a QEMU that is killed is LOST, status 3' 0 '^LOST:' \
		sh -c "cat '$work/killed'; [ $status -eq 3 ]"
	for signal in TERM KILL; do
		start_loop
		kill -"$signal" "$background"
		wait "$background" 2>/dev/null || :
		background=''
		expect "after SIG$signal no QEMU is left" 0 '' until_true 10 is_gone
	done
}

# make_source DIRECTORY STATEMENT: a module with that statement in its init.
make_source() {
	mkdir -p "$1"
	echo 'obj-m := taskmonitor.o' >"$1/Kbuild"
	cat >"$1/taskmonitor.c" <<-END
		#include <linux/module.h>
		static int __init start(void)
		{
			$2
			return 0;
		}
		module_init(start);
		MODULE_DESCRIPTION("harness test");
		MODULE_LICENSE("GPL");
	END
}

build() {
	TM_SRC=$work/src TM_BUILD_DIR=$work/build "$tm_scripts/build.sh" "$kernel"
}

test_build() {
	make_source "$work/src" ''
	expect 'a clean module builds' 0 "^$work/build\$" build
	make_source "$work/src" 'int unused;'
	expect 'a warning fails the build' 2 'unused variable' build
	expect 'and fails it again when nothing has changed' 2 'unused variable' build
	make_source "$work/src" 'no_such_function();'
	expect 'an error fails the build' 2 'no_such_function' build
}

test_wrong_calls() {
	expect 'an unknown kernel' 2 "unknown kernel '5.0'" \
		"$tm_scripts/kernel.sh" 5.0
	expect 'a path that is no kernel tree' 2 'no kernel build tree' \
		"$tm_scripts/kernel.sh" "$work/src"
	expect 'an initramfs that is not there' 2 'cannot read' \
		"$tm_scripts/vm.sh" -k "$kernel" -i "$work/none"
	expect 'a time limit that is no number' 2 "'x' is not" vm -t x
	expect 'an unknown purpose' 2 "unknown purpose 'x'" \
		"$tm_scripts/setup.sh" x
}

# on_debian_13 COMMAND...: where apt knows nothing but 6.12, which it shows for any
# name, nothing is installed but the new libelf1, and nothing is unpacked.
on_debian_13() {
	mkdir -p "$work/apt"
	cat >"$work/apt/apt-cache" <<-'END'
		#!/bin/sh
		echo 'Package: linux-source-6.12'
		echo 'Version: 6.12.1-1'
		echo
		echo 'Package: linux-image-amd64'
		echo 'Version: 6.12.1-1'
		echo 'Depends: linux-image-6.12.1+deb13-amd64 (= 6.12.1-1)'
	END
	cat >"$work/apt/dpkg-query" <<-'END'
		#!/bin/sh
		echo 'installed libelf1t64 libelf1 (= 0.192-4), other'
		echo 'config-files libssl3 '
	END
	printf '#!/bin/sh\n' >"$work/apt/apt-get"
	chmod +x "$work"/apt/*
	rm -rf "$work/cache"
	(
		PATH=$work/apt:$host_path TASKMONITOR_CACHE=$work/cache
		export PATH TASKMONITOR_CACHE
		"$@"
	)
}

test_releases() {
	expect 'kernels that apt knows are listed' 0 '^6\.12$' \
		on_debian_13 "$tm_scripts/kernel.sh" -l
	expect 'one that it does not know cannot be had' 77 \
		'apt knows no Debian kernel 6.1 here, only 6.12$' \
		on_debian_13 "$tm_scripts/kernel.sh" 6.1
	expect 'nor a real-time one' 77 'no Debian kernel 6.12-rt here' \
		on_debian_13 "$tm_scripts/kernel.sh" 6.12-rt
	expect 'nor one that is built from its source' 77 \
		'no kernel source of version 6.1 here' \
		on_debian_13 "$tm_scripts/kernel.sh" 6.1-debug
	expect 'a build for it tells so too' 77 'no Debian kernel 6.1 here' \
		on_debian_13 "$tm_scripts/build.sh" 6.1
	expect 'a package may stand for another' 0 '^none$' \
		said on_debian_13 missing_packages libelf1
	expect 'but not after it was removed' 0 '^libssl3$' \
		said on_debian_13 missing_packages libssl3
}

# offline: a machine with no way to a mirror, and with a cache of its own.
offline() {
	PATH=$work/offline:$host_path TASKMONITOR_CACHE=$work/cache \
		"$tm_scripts/kernel.sh" newest-debug
}

test_newest() {
	mkdir "$work/offline"
	for tool in apt-get apt-cache; do
		printf '#!/bin/sh\nexit 100\n' >"$work/offline/$tool"
		chmod +x "$work/offline/$tool"
	done
	expect 'without a network the newest kernel cannot be had' 77 \
		'kernel newest-debug cannot be had: no source from http' offline
	mkdir -p "$work/built/include/config" "$work/cache/source/tree" \
		"$work/cache/kernel"
	echo 7.0.0 >"$work/built/include/config/kernel.release"
	ln -s "$work/cache/source/tree" "$work/built/source"
	ln -s "$work/built" "$work/cache/kernel/newest-debug"
	expect 'then it is the one that was built last' 0 \
		"^KERNEL_RELEASE='7.0.0'\$" offline
	expect 'which is said' 0 'warning: no source from .*, 7.0.0$' offline
}

# locks_without FUNCTION: what lint says when that one asserts nothing.
locks_without() {
	rm -rf "$work/locks"
	mkdir "$work/locks"
	cp "$tm_root"/*.[ch] "$work/locks"
	sed -i "/^[^ \t].*$1(/,/^}/ { /lockdep_assert_held/d }" "$work/locks"/*.c
	(cd "$work/locks" && "$tm_scripts/lint-locks.py" taskmonitor.h ./*.c)
}

test_locks() {
	expect 'no function touches a field without its lock' 0 '^none$' \
		said locks_without no_function
	for name in tm_bucket_first tm_cursor_pin tm_round_begin tm_get_sample; do
		expect "lint notices that $name asserts no lock" 0 \
			"$name.. touches" locks_without "$name"
	done
	expect 'a 32-bit kernel is refused when the module is built' 1 \
		'for 64-bit kernels only' word_size
	expect 'a 64-bit kernel is not' 0 '' word_size -DCONFIG_64BIT=1
}

# word_size OPTION...: what a compiler makes of that part of the header.
word_size() {
	sed -n '/^#ifndef CONFIG_64BIT/,/^#endif/p' "$tm_root/taskmonitor.h" |
		gcc -fsyntax-only "$@" -x c -
}

# said COMMAND...: what it says on either channel, or "none"; never mind how it ends.
said() {
	out=$("$@" 2>&1) || :
	printf '%s\n' "${out:-none}"
}

planned=58
printf 'KTAP version 1\n1..%d\n' "$planned"
# Fetched here, where its progress shows.
"$tm_scripts/kernel.sh" "$kernel" >/dev/null
# shellcheck disable=SC2086 # one word per option is meant
"$tm_scripts/initramfs.sh" -o "$work/cpio" -k "$kernel" $guests
start_hung
test_reports
test_known_report
test_outcomes
test_ends
test_build
test_wrong_calls
test_releases
test_newest
test_locks
test_hung
if [ "$count" -ne "$planned" ]; then
	die "$count results where $planned were planned"
fi
exit "$failed"
