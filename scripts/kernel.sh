#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# kernel.sh NAME: makes a kernel available, without installing anything, and
# prints for eval:
#
#   KERNEL_RELEASE  what uname -r says in it
#   KERNEL_IMAGE    what a VM boots
#   KERNEL_BUILD    what a module is built against
#   KERNEL_MODULES  the root of its lib/modules; empty where all is built in
#   KERNEL_CMDLINE  what it must have on its command line (may be missing)
#
# NAME: 6.1, 6.12, 6.1-rt, 6.12-rt    Debian's own
#       6.1-debug, 6.12-debug, 6.12-kcsan  built from Debian's source
#       newest-debug                     so is this, from the newest there is
#       host                             the running one
#       a path                           a kernel's build tree
#
# kernel.sh -l: prints the names of Debian's own kernels that can be had here, in one
# line: on Debian 12 all four, on Debian 13 those of 6.12. The first is the one
# that this Debian has from the start.
#
# Exit status: 77 when the kernel cannot be had here because apt does not know it or,
# for newest-debug, no mirror answers; 2 when anything else is wrong.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

# To be raised when what is unpacked, or how, changes.
layout=1

# Debian's own, the oldest first; which of them a Debian has is for apt to say.
stock='6.1 6.12 6.1-rt 6.12-rt'

# Drivers that no lab VM has a device for: most of an image package.
unused='drivers/gpu drivers/media drivers/net drivers/scsi drivers/usb
	drivers/infiniband drivers/staging drivers/iio drivers/hwmon drivers/input
	sound net'

print_kernel() {
	assign KERNEL_RELEASE "$1"
	assign KERNEL_IMAGE "$2"
	assign KERNEL_BUILD "$3"
	assign KERNEL_MODULES "$4"
}

tree_release() {
	cat "$1/include/config/kernel.release" 2>/dev/null ||
		make -s -C "$1" kernelrelease 2>/dev/null
}

host_kernel() {
	release=$(uname -r)
	build=/lib/modules/$release/build
	image=/boot/vmlinuz-$release
	[ -e "$build/Makefile" ] ||
		die "the running kernel has no build tree at $build; install its headers (linux-headers-$release) or name another kernel, such as 6.12"
	[ -r "$image" ] ||
		die "the running kernel's image $image is missing or unreadable; name another kernel, such as 6.12"
	print_kernel "$release" "$image" "$build" /
}

tree_kernel() {
	tree=$(cd -- "$1" && pwd)
	[ -e "$tree/Makefile" ] || die "'$1' is no kernel build tree: no Makefile"
	[ -e "$tree/Module.symvers" ] ||
		die "'$1' is not built: no Module.symvers"
	release=$(tree_release "$tree") ||
		die "'$1' is no kernel build tree: it does not tell its release"
	image=$tree/arch/x86/boot/bzImage
	[ -e "$image" ] || image=
	print_kernel "$release" "$image" "$tree" ''
}

# meta KIND VERSION SUFFIX: the package that the newest metapackage of
# this version stands for. A Debian's default kernel has no number in its name.
meta() {
	for m in "linux-$1-$2$3-amd64" "linux-$1$3-amd64"; do
		package_depends "$m" "^linux-$1-$2\\.[0-9].*$3-amd64\$" |
			head -n 1 | grep . && return
	done
	return 1
}

resolve() {
	image=$(meta image "$1" "$2") && headers=$(meta headers "$1" "$2") ||
		return 1
	# The signed image's own version; the headers' is always the same.
	version=$(package_field "$image" Version)
	parts=$(package_depends "$headers" '^linux-(headers-.*-common|kbuild-)')
	[ -n "$version" ] && [ -n "$parts" ] || return 1
	release=${image#linux-image-}
	dir=$cache/kernel/$(printf '%s' "$release-$version-$layout" |
		tr -c 'A-Za-z0-9.+-' _)
}

# The headers name absolute places; make them name their own.
relocate() {
	root=$1 final=$2
	for d in "$root"/usr/src/linux-headers-*; do
		sed -i "s,/usr/src/linux-headers-,$final&,; s,/usr/lib/linux-kbuild-,$final&," \
			"$d/Makefile"
	done
	# depmod takes the lib/modules of either layout, merged /usr or not.
	[ -d "$root/lib/modules" ] || ln -s usr/lib "$root/lib"
	for d in "$root"/lib/modules/*; do
		rm -f "$d/build" "$d/source"
		depmod -b "$root" "${d##*/}"
	done
}

unpack() {
	[ ! -d "$dir" ] || return 0
	say "unpacking kernel $release ($version) into $dir"
	rm -rf "$tmp"
	tmp=$(scratch kernel)
	set --
	for d in $unused; do
		set -- "$@" --exclude "./*lib/modules/*/kernel/$d"
	done
	for p in "$image" "$headers" $parts; do
		deb=$(download "$p" "$tmp") || return 1
		# vmlinux is there for BTF, which needs pahole and is not read here.
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$tmp" "$@" \
			--exclude './usr/src/*/vmlinux' --exclude './usr/share' ||
			return 1
		rm -f "$deb"
	done
	relocate "$tmp" "$dir" || return 1
	publish "$tmp" "$dir"
}

# Is what was unpacked still there? Then it is in use.
is_complete() (
	# shellcheck source=/dev/null
	. "$env"
	[ -e "$KERNEL_IMAGE" ] && [ -e "$KERNEL_BUILD/Makefile" ] &&
		touch "$KERNEL_MODULES"
)

# All but the stamp.
print_env() {
	tail -n +2 "$env"
}

# Splits NAME into its version and what is before -amd64 in a package's name.
select_stock() {
	name=$1
	env=$cache/kernel/$name.env
	base=${name%-rt} suffix=
	[ "$name" = "$base" ] || suffix=-rt
}

# Also when apt does not know it any more.
is_unpacked() {
	[ -e "$env" ] && is_complete
}

known_stock() {
	known=
	for name in $stock; do
		select_stock "$name"
		# apt takes a second of CPU time to answer.
		if is_unpacked || meta image "$base" "$suffix" >/dev/null; then
			known="$known $name"
		fi
	done
	known=${known# }
}

list_stock() {
	have_apt_lists || apt_update || :
	known_stock
	if [ -z "$known" ]; then
		refresh_lists
		known_stock
	fi
	[ -n "$known" ] || cannot_be_had \
		"apt knows no Debian kernel of $stock here (this needs Debian 12 or 13 on amd64)"
	printf '%s\n' "$known"
}

stock_kernel() {
	select_stock "$1"
	# What apt knows decides what is current; it is asked again when it has
	# learnt something new.
	stamp="# $(stat -c %Y "$apt_lists" 2>/dev/null)"
	if [ -e "$env" ] && [ "$(head -n 1 "$env")" = "$stamp" ] && is_complete; then
		print_env
		return
	fi
	lock "kernel-$name"
	if ! resolve "$base" "$suffix"; then
		if is_unpacked; then
			warn "apt knows no kernel $name now; taking the one unpacked before"
			print_env
			return
		fi
		refresh_lists
		if ! resolve "$base" "$suffix"; then
			lacking=$name
			known_stock
			cannot_be_had "apt knows no Debian kernel $lacking here, only ${known:-none}"
		fi
	fi
	if ! unpack; then
		# The lists name a version that the mirror has dropped.
		apt_update && resolve "$base" "$suffix"
		unpack || die "cannot download and unpack kernel $name"
	fi
	stamp="# $(stat -c %Y "$apt_lists" 2>/dev/null)"
	{
		printf '%s\n' "$stamp"
		print_kernel "$release" "$dir/boot/vmlinuz-$release" \
			"$dir/usr/src/$headers" "$dir"
	} >"$env.$$"
	mv "$env.$$" "$env"
	touch "$dir"
	prune "$cache/kernel" 30
	unlock
	print_env
}

tmp=''
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

[ $# -eq 1 ] || die 'usage: kernel.sh NAME or kernel.sh -l'
case $1 in
-l) list_stock ;;
6.1 | 6.12 | 6.1-rt | 6.12-rt) stock_kernel "$1" ;;
*/*)
	[ -d "$1" ] || die "no such directory: '$1'"
	tree_kernel "$1"
	;;
*-debug | *-kcsan) "$tm_scripts/debug-kernel.sh" "$1" ;;
host) host_kernel ;;
*) die "unknown kernel '$1'; use 6.1, 6.12, 6.1-rt, 6.12-rt, 6.1-debug, 6.12-debug, newest-debug, 6.12-kcsan, host or the path of a build tree" ;;
esac
