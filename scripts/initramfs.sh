#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# initramfs.sh -o OUT -k NAME [-m MODULE.ko] [-f HOSTFILE:GUESTPATH]...
#	[-M kernelmodule]...
# packs a guest: busybox, guest-init, the command, what judges memory, the module as
# /taskmonitor.ko, the given files, and those modules of the kernel NAME that a disk
# needs or -M names.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

usage='usage: initramfs.sh -o OUT -k NAME [-m MODULE.ko] [-f HOSTFILE:GUESTPATH]... [-M kernelmodule]...'
# guest-init loads these when there is a disk.
modules='virtio_pci virtio_blk ext4 squashfs'
out='' name=''

tmp=$(mktemp -d)
# The file's own mode and owner come from the umask and cpio -R.
umask 022
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
root=$tmp/root
mkdir -p "$root/bin" "$root/dev" "$root/etc" "$root/mnt" "$root/proc" \
	"$root/root" "$root/run" "$root/sys" "$root/tmp"

# add HOSTFILE GUESTPATH
add() {
	[ -f "$1" ] || die "no such file: '$1'"
	case $2 in
	/*) ;;
	*) die "'$2' is not an absolute path in the guest" ;;
	esac
	mkdir -p "$root$(dirname -- "$2")"
	cp -- "$1" "$root$2"
	[ ! -x "$1" ] || chmod 755 "$root$2"
}

# The kernel and busybox each read one form of a module: plain.
add_kernel_module() {
	rel=${1#"${KERNEL_MODULES%/}"}
	case $1 in
	*.xz) add "$1" "$rel" && xz -df "$root$rel" ;;
	*.gz) add "$1" "$rel" && gzip -df "$root$rel" ;;
	*.zst) add "$1" "$rel" && zstd -q --rm -d "$root$rel" ;;
	*) add "$1" "$rel" ;;
	esac
}

add_kernel_modules() {
	# Where everything is built in there is nothing to add.
	[ -n "$KERNEL_MODULES" ] || return 0
	lib=$KERNEL_MODULES/lib/modules/$KERNEL_RELEASE
	[ -d "$lib" ] || die "no modules for $KERNEL_RELEASE in '$lib'"
	for m in $modules; do
		modprobe -d "$KERNEL_MODULES" -S "$KERNEL_RELEASE" \
			--show-depends "$m" >>"$tmp/depends" ||
			die "kernel $KERNEL_RELEASE has no module $m"
	done
	sed -n 's/^insmod \([^ ]*\).*/\1/p' "$tmp/depends" | sort -u \
		>"$tmp/insmod"
	while read -r f; do
		add_kernel_module "$f"
	done <"$tmp/insmod"
	target=$root/lib/modules/$KERNEL_RELEASE
	mkdir -p "$target"
	cp "$lib"/modules.builtin* "$lib/modules.order" "$target"
	depmod -b "$root" "$KERNEL_RELEASE"
}

while getopts o:k:m:f:M: opt; do
	case $opt in
	o) out=$OPTARG ;;
	k) name=$OPTARG ;;
	m) add "$OPTARG" /taskmonitor.ko ;;
	f)
		case $OPTARG in
		?*:/*) add "${OPTARG%:*}" "${OPTARG##*:}" ;;
		*) die "'$OPTARG' is not HOSTFILE:/GUESTPATH" ;;
		esac
		;;
	M) modules="$modules $OPTARG" ;;
	*) die "$usage" ;;
	esac
done
shift $((OPTIND - 1))
if [ $# -gt 0 ] || [ -z "$out" ] || [ -z "$name" ]; then
	die "$usage"
fi

busybox=$(command -v busybox) || die 'no busybox; run scripts/setup.sh vm'
if ldd "$busybox" >/dev/null 2>&1; then
	die "$busybox is not static; run scripts/setup.sh vm"
fi
assignments=$("$tm_scripts/kernel.sh" "$name")
eval "$assignments"

add "$busybox" /bin/busybox
add "$tm_scripts/guest-init" /init
chmod 755 "$root/init"
for f in leakcheck modmem procmem memory.sh taskmonitor; do
	add "$tm_scripts/$f" "/bin/$f"
done
add_kernel_modules
# The kernel's own built-in initramfs has /dev/console, so no node is made
# here and no root is needed.
(cd -- "$root" && find . | sort | cpio --quiet -o -H newc -R 0:0) >"$tmp/cpio"
mv "$tmp/cpio" "$out"
