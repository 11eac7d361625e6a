#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# build.sh NAME [make argument]...: builds the module against the kernel NAME
# (see kernel.sh) outside the tree, and prints the directory that holds
# taskmonitor.ko, or what the sources' Kbuild names. A compiler's warning fails
# the build.
#
# Exit status: 77 when the kernel cannot be had here, 2 when anything else is wrong.
#
# TM_SRC:       the sources to build (default: this tree)
# TM_BUILD_DIR: where to build (default: the cache, a place for each kernel,
#               source directory and set of arguments)
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

[ $# -ge 1 ] || die 'usage: build.sh NAME [make argument]...'
name=$1
shift

src=$(cd -- "${TM_SRC:-$tm_root}" && pwd)
[ -e "$src/Kbuild" ] || die "no module source in '$src': no Kbuild"
module=$(sed -n 's/^obj-m := \(.*\)\.o$/\1.ko/p' "$src/Kbuild")
[ -n "$module" ] || die "no module is named in '$src/Kbuild'"

assignments=$("$tm_scripts/kernel.sh" "$name")
eval "$assignments"

id=$(printf '%s\n' "$src" "$KERNEL_BUILD" "$@" | key)
dir=${TM_BUILD_DIR:-$cache/build/$KERNEL_RELEASE-$id}
mkdir -p "$dir"
dir=$(cd -- "$dir" && pwd)
log=$dir/build.log
lock "build-$(printf '%s' "$dir" | key)"

# Copied when they differ only: make goes by the time of change.
copy_sources() {
	module_files "$src" >"$dir/sources.new"
	while read -r f; do
		mkdir -p "$dir/$(dirname -- "$f")"
		cmp -s "$src/$f" "$dir/$f" || cp -- "$src/$f" "$dir/$f"
	done <"$dir/sources.new"
	if [ -e "$dir/sources" ]; then
		grep -vxF -f "$dir/sources.new" "$dir/sources" | while read -r f; do
			rm -f "$dir/$f"
		done
	fi
	mv "$dir/sources.new" "$dir/sources"
}

# What compiled with a warning would not be compiled, nor warned of, again.
fail() {
	find "$dir" -name '*.o' -delete
	rm -f "$dir/$module"
	cat "$log" >&2
	die "$1 (kernel $KERNEL_RELEASE)"
}

[ -n "${TM_BUILD_DIR:-}" ] || prune "$cache/build" 30
copy_sources
say "building $module for $KERNEL_RELEASE"
make -j"$(nproc)" -C "$KERNEL_BUILD" M="$dir" "$@" modules >"$log" 2>&1 9>&- ||
	fail 'the module does not build'
# As gcc, sparse, objtool, ld and modpost put it.
if grep -Eq ': warning:|: error:|^WARNING:|^ERROR:' "$log"; then
	fail 'the module builds with warnings'
fi
[ -e "$dir/$module" ] || fail "the build made no $module"
printf '%s\n' "$dir"
