#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# setup.sh [build|vm|demo|test|lint|debug|bench|grade|answers|deb|roots]...: installs the Debian
# packages that the named purposes need and that are not there yet (default:
# test). No kernel package is ever among them: kernel.sh unpacks those beside.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

# gcc brings the compiler that this Debian's kernels are built with, and that their
# headers ask for by name. libelf1 and libssl3 are what the kernel's prebuilt build
# tools link with.
build='make gcc libc6-dev kmod xz-utils libelf1 libssl3'
vm="$build qemu-system-x86 busybox-static cpio e2fsprogs"
debug="$build flex bison bc libelf-dev libssl-dev perl"
lint="$build sparse shellcheck perl python3 pyflakes3 mypy"
bench="$vm clang bpftool libbpf-dev libelf-dev zlib1g-dev sysstat"
# What the suite `tracers` runs in the guest.
tracers='trace-cmd linux-perf'
deb='build-essential debhelper dh-dkms lintian'
grade="$vm $debug bubblewrap util-linux python3"

packages=
[ $# -gt 0 ] || set -- test
for purpose; do
	case $purpose in
	build) packages="$packages $build" ;;
	vm | demo) packages="$packages $vm" ;;
	debug) packages="$packages $debug" ;;
	lint) packages="$packages $lint" ;;
	bench) packages="$packages $bench" ;;
	grade) packages="$packages $grade" ;;
	answers) packages="$packages gnuplot-nox" ;;
	deb) packages="$packages $deb" ;;
	roots) packages="$packages mmdebstrap" ;;
	test) packages="$packages $grade $lint $tracers" ;;
	*) die "unknown purpose '$purpose'; use build, vm, demo, test, lint, debug, bench, grade, answers, deb, roots" ;;
	esac
done

# Each once, in the order in which they were named.
packages=$(printf '%s\n' "$packages" | tr ' ' '\n' | awk 'NF && !seen[$0]++')
# shellcheck disable=SC2086 # one word per package is meant
need_packages $packages
