#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# lab.sh: boots the lab VM with the module, for `make demo` and `make vm`;
# installs and fetches what is missing.
#
# lab.sh demo  runs demo-guest in it
# lab.sh vm    gives a shell in it
#
# KERNEL: see kernel.sh (default: this Debian's own)
# MEM: the VM's memory (128M)   CPUS (2)
# CMDLINE: for the kernel of the shell's VM, such as slub_debug=U
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

what=${1:-}
case $what in
demo) set -- -t 600 -a tm.run=/demo ;;
vm) set -- -x -a "${CMDLINE:-}" ;;
*) die 'usage: lab.sh demo|vm' ;;
esac

"$tm_scripts/setup.sh" demo
kernel=${KERNEL:-}
if [ -z "$kernel" ]; then
	kernels=$("$tm_scripts/kernel.sh" -l)
	kernel=${kernels%% *}
fi
disk=$("$tm_scripts/disk.sh")
built=$("$tm_scripts/build.sh" "$kernel")
leaky=
# What docs/memory.md hunts leaks in.
[ "$what" = demo ] ||
	leaky=$(TM_SRC=$tm_root/tests/leaky "$tm_scripts/build.sh" "$kernel")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
"$tm_scripts/initramfs.sh" -o "$work/lab.cpio" -k "$kernel" \
	-m "$built/taskmonitor.ko" -f "$tm_scripts/demo-guest:/demo" \
	-f "$tm_root/tests/guest/lib.sh:/lib.sh" \
	-f "$tm_scripts/lab-profile:/etc/profile" \
	${leaky:+-f "$leaky/leaky.ko:/leaky.ko"}
say "booting the lab VM, kernel $kernel"
"$tm_scripts/vm.sh" -k "$kernel" -i "$work/lab.cpio" -m "${MEM:-128M}" \
	-c "${CPUS:-2}" -d "$disk" "$@"
