#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# vm.sh -k NAME -i INITRAMFS [-m MEMORY] [-c CPUS] [-t SECONDS]
#	[-a "more kernel command line"] [-d DISK] [-l LOGDIR] [-I] [-n] [-x]
# boots the kernel NAME (see kernel.sh) with an initramfs (see initramfs.sh)
# and passes on what the guest writes to its verdict channel.
#
# -I  deterministic time: one guest instruction is one nanosecond
# -n  two NUMA nodes, each with a CPU and half of the memory, which is in MiB
# -x  interactive: the console is this terminal
# -t  the time limit: 600 seconds, or none with -x, if it is not given
# -l  keeps console.log, verdict.log and, while QEMU runs, qemu.pid there
#
# Exit status: 0 the guest says success, 1 it says failure, 2 a wrong call,
# 3 LOST (QEMU ended, no verdict), 4 HUNG (the time limit),
# 5 KERNEL (the kernel reports a bug of any kind, verdict or not), 77 the kernel
# cannot be had here.
#
# TM_ACCEL=kvm or tcg overrules the choice of the accelerator.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

usage='usage: vm.sh -k NAME -i INITRAMFS [-m MEMORY] [-c CPUS] [-t SECONDS] [-a CMDLINE] [-d DISK] [-l LOGDIR] [-I] [-n] [-x]'
qemu='qemu-system-x86_64'

name='' initramfs='' memory='' cpus=2 limit='' more='' disk='' logs=''
icount='' nodes='' interactive=''
while getopts k:i:m:c:t:a:d:l:Inx opt; do
	case $opt in
	k) name=$OPTARG ;;
	i) initramfs=$OPTARG ;;
	m) memory=$OPTARG ;;
	c) cpus=$OPTARG ;;
	t) limit=$OPTARG ;;
	a) more=$OPTARG ;;
	d) disk=$OPTARG ;;
	l) logs=$OPTARG ;;
	I) icount=yes ;;
	n) nodes=yes ;;
	x) interactive=yes ;;
	*) die "$usage" ;;
	esac
done
shift $((OPTIND - 1))
if [ $# -gt 0 ] || [ -z "$name" ] || [ -z "$initramfs" ]; then
	die "$usage"
fi
for number in "$cpus" "${limit:-1}"; do
	case $number in
	'' | *[!0-9]* | 0*) die "'$number' is not a positive number" ;;
	esac
done
case $disk in
*,*) die "QEMU takes no comma in a file's name: '$disk'" ;;
esac
for file in "$initramfs" "${disk:-$initramfs}"; do
	[ -r "$file" ] || die "cannot read '$file'"
done
command -v "$qemu" >/dev/null || die "no $qemu; run scripts/setup.sh vm"
[ -n "$interactive" ] || limit=${limit:-600}
[ -z "$interactive" ] || [ -t 0 ] || die '-x needs a terminal'

KERNEL_CMDLINE=
assignments=$("$tm_scripts/kernel.sh" "$name")
eval "$assignments"
[ -n "$KERNEL_IMAGE" ] || die "kernel '$name' has no bootable image"
[ -r "$KERNEL_IMAGE" ] || die "cannot read '$KERNEL_IMAGE'"

# KASAN and lockdep need room.
if [ -z "$memory" ]; then
	case $name in
	*-debug | *-kcsan) memory=512M ;;
	*) memory=256M ;;
	esac
fi

work=$(mktemp -d)
logs=${logs:-$work/logs}
mkdir -p "$logs"
console=$logs/console.log
qemu_pid='' reader_pid='' tty=''

# shellcheck disable=SC2317 # the trap below is what calls it
cleanup() {
	[ -z "$qemu_pid" ] || kill "$qemu_pid" 2>/dev/null || :
	[ -z "$qemu_pid" ] || wait "$qemu_pid" 2>/dev/null || :
	[ -z "$reader_pid" ] || kill "$reader_pid" 2>/dev/null || :
	[ -z "$tty" ] || stty "$tty" 2>/dev/null || :
	rm -rf "$work" "$logs/qemu.pid"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# A /dev/kvm that opens is no proof: guests have been seen to hang at once.
kvm_boots() {
	TM_ACCEL=kvm "$0" -k "$name" -i "$work/trial.cpio" -m 512M -c 2 -t 20 \
		-a tm.run=/bin/true >/dev/null 2>&1
}

# Prints kvm or tcg; KVM is tried once for each host kernel, QEMU and CPU.
accelerator() {
	if [ -n "${TM_ACCEL:-}" ]; then
		printf '%s\n' "$TM_ACCEL"
		return
	fi
	if ! [ -r /dev/kvm ] || ! [ -w /dev/kvm ]; then
		echo tcg
		return
	fi
	host=$({
		uname -r
		"$qemu" --version
		grep -m 1 '^model name' /proc/cpuinfo || :
	} | key)
	lock kvm
	if ! [ -s "$cache/kvm-$host" ]; then
		say 'trying KVM once, for 20 seconds at most'
		"$tm_scripts/initramfs.sh" -o "$work/trial.cpio" -k "$name"
		if kvm_boots; then
			echo kvm >"$work/accel"
		else
			say 'KVM boots no guest here: emulating from now on, which is slower'
			echo tcg >"$work/accel"
		fi
		mv "$work/accel" "$cache/kvm-$host"
	fi
	unlock
	cat "$cache/kvm-$host"
}

cmdline="console=ttyS0 loglevel=7 panic=-1 oops=panic panic_on_warn=1"
cmdline="$cmdline $KERNEL_CMDLINE"
# On a busy host an emulated timer can be late for the kernel's check whether it
# is wired at all, which ends in a panic.
cmdline="$cmdline no_timer_check"

set -- -kernel "$KERNEL_IMAGE" -initrd "$initramfs" -m "$memory" \
	-nodefaults -no-reboot -display none -net none -pidfile "$logs/qemu.pid"
if [ -n "$icount" ]; then
	set -- "$@" -accel tcg,thread=single -icount shift=0,sleep=off -smp 1
else
	accel=$(accelerator)
	case $accel in
	# One thread emulates all CPUs in turn: before QEMU 8.1, which locks the pages
	# that it translates, a CPU may go on with code that another has replaced since,
	# and the guest ends in "Oops: int3". Loading the module patches do_exit().
	tcg) set -- "$@" -accel tcg,thread=single -cpu max ;;
	kvm) set -- "$@" -accel kvm -cpu host ;;
	*) die "TM_ACCEL is tcg or kvm, not '$accel'" ;;
	esac
	set -- "$@" -smp "$cpus${nodes:+,sockets=$cpus}"
fi
if [ -n "$nodes" ]; then
	half=$((${memory%M} / 2))M
	for node in 0 1; do
		set -- "$@" -object "memory-backend-ram,size=$half,id=node$node" \
			-numa "node,nodeid=$node,cpus=$node,memdev=node$node"
	done
fi
if [ -n "$disk" ]; then
	set -- "$@" -drive "file=$disk,format=raw,if=none,id=disk,readonly=on" \
		-device virtio-blk-pci,drive=disk
	cmdline="$cmdline tm.disk"
fi
if [ -n "$interactive" ]; then
	tty=$(stty -g)
	cmdline="$cmdline quiet tm.shell tm.term=${TERM:-linux}"
	cmdline="$cmdline tm.size=$(stty size | tr ' ' ,)"
	set -- "$@" -chardev "stdio,id=console,mux=on,signal=off,logfile=$console" \
		-serial chardev:console -mon chardev=console
	say 'booting; leave with exit or Ctrl-D (Ctrl-A x ends a VM that hangs)'
else
	set -- "$@" -serial "file:$console"
fi
# The verdict comes through a pipe: live, and with no polling.
#
#   terminal (-x) or /dev/null --fd 7--> QEMU's stdin, which & would take away
#   QEMU, ttyS1 --by path-+
#   this script ----fd 8--+-> $work/verdict -> tee or cat -> verdict.log, stdout
#   this script --TERM--> timeout --KILL--> QEMU; no limit: --TERM--> QEMU
#
# fd 8 keeps the pipe open until QEMU is gone, even one that never opens it: then
# it is closed, the reader sees the end, and the verdict is whole. TERM and KILL
# are what setpriv has the kernel send to a process when its parent dies, so not
# even a kill -9 of this script leaves a QEMU behind.
mkfifo "$work/verdict"
set -- "$@" -serial "file:$work/verdict" -append "$cmdline $more"
: >"$console"
if [ -n "$interactive" ]; then
	cat <"$work/verdict" >"$logs/verdict.log" &
else
	tee "$logs/verdict.log" <"$work/verdict" &
fi
reader_pid=$!
exec 8>"$work/verdict"

if [ -n "$limit" ]; then
	set -- timeout --foreground -k 5 "$limit" setpriv --pdeathsig KILL \
		"$qemu" "$@"
else
	set -- "$qemu" "$@"
fi
if [ -n "$interactive" ]; then
	exec 7<&0
else
	exec 7</dev/null
fi
setpriv --pdeathsig TERM "$@" <&7 7<&- 8>&- 2>"$logs/qemu.log" &
qemu_pid=$!
qemu_status=0
wait "$qemu_pid" || qemu_status=$?
qemu_pid=
exec 8>&-
wait "$reader_pid" || :
reader_pid=

# Lines of a serial console end in CR LF.
tr -d '\r' <"$console" >"$work/console"
first=$(first_report "$work/console")
known=$(known_reports "$work/console")
[ "$known" -eq 0 ] ||
	say "debugfs warned $known times of a race of its own, in full_proxy_open()"
status=$(sed -n 's/^TM-EXIT \([0-9]*\)$/\1/p' "$logs/verdict.log" | tail -n 1)

if [ -n "$first" ]; then
	say "KERNEL: the kernel $KERNEL_RELEASE reports:"
	tail -n "+$first" "$work/console" | head -n 60 >&2
	exit 5
fi
if [ -n "$status" ]; then
	[ "$status" -ne 0 ] || exit 0
	# What was printed beside the verdict often says why.
	[ -n "$interactive" ] || tail -n 20 "$work/console" >&2
	exit 1
fi
[ -n "$interactive" ] || tail -n 20 "$work/console" >&2
if [ -n "$limit" ] && [ "$qemu_status" -eq 124 ]; then
	say "HUNG: no verdict after $limit seconds; above, the last of the console"
	exit 4
fi
cat "$logs/qemu.log" >&2
say "LOST: QEMU ended (status $qemu_status) with no verdict"
exit 3
