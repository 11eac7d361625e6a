#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# debug-kernel.sh NAME: builds a kernel that looks for our mistakes from
# Debian's kernel source, once, and prints what kernel.sh prints.
#
# NAME: 6.1-debug, 6.12-debug    memory, locking, lifetimes, fault injection
#       newest-debug             the same, of the newest kernel in Debian: see
#                                newest.sh
#       6.12-kcsan               data races
#
# A kernel has what its fragments in this directory ask for, and nothing else:
# guest.config and FLAVOUR.config, and of each of them what is for its version,
# such as guest-from-6.12.config and guest-to-6.1.config: both have theirs in it.
#
# Exit status: 77 when the kernel cannot be had here, 2 when anything else is wrong.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"
# shellcheck source=scripts/newest.sh
. "$tm_scripts/newest.sh"

# To be raised when the way in which a kernel is built changes.
build_version=2

unused_drivers='accel clk crypto dma gpu hid hwmon i2c iio infiniband input md
	media mfd misc mmc mtd net phy pinctrl platform regulator scsi soc spi
	staging usb video'

# is_for_version FRAGMENT
is_for_version() {
	limit=${1##*-}
	limit=${limit%.config}
	case ${1##*/} in
	*-from-*) dpkg --compare-versions "$version" ge "$limit" ;;
	*-to-*) dpkg --compare-versions "$version" le "$limit" ;;
	esac
}

fragments() {
	for base in "$tm_scripts/guest" "$tm_scripts/$flavour"; do
		for f in "$base.config" "$base"-from-*.config "$base"-to-*.config; do
			if [ -e "$f" ] && is_for_version "$f"; then
				printf '%s\n' "$f"
			fi
		done
	done
}

need_tools() {
	for tool in "$CC" make flex bison bc perl xz tar; do
		command -v "$tool" >/dev/null || lacking="${lacking-} $tool"
	done
	echo '#include <libelf.h>' | "$CC" -E - >/dev/null 2>&1 ||
		lacking="${lacking-} libelf.h"
	[ -z "${lacking-}" ] ||
		die "building kernel $name lacks:$lacking; run scripts/setup.sh debug"
}

# What tar leaves packed: all that no kernel of ours compiles. Kconfig files
# refer to each other across drivers and architectures, so they all come.
unused_files() {
	top=linux-source-$version
	printf '%s\n' "$top/arch/[a-w]*.[chS]" "$top/arch/[a-w]*.dts*" \
		"$top/Documentation/[a-zA-Z]*/*" "$top/sound/*.[ch]" \
		"$top/tools/testing/*" "$top/tools/perf/*"
	for d in $unused_drivers; do
		printf '%s\n' "$top/drivers/$d/*.[chS]"
	done
}

# Both flavours of a version are built from one copy.
source_tree() {
	printf '%s\n' "$cache/source/tree-$package-$(unused_files | key)"
}

prepare_source() {
	source=$(source_tree)
	lock "source-$version"
	if [ ! -d "$source" ]; then
		tarball=$(source_tarball "$version")
		tmp=$(scratch source)
		say "unpacking $tarball"
		unused_files >"$tmp/.unused"
		tar -xJf "$tarball" -C "$tmp" --strip-components=1 \
			-X "$tmp/.unused" || die "cannot unpack $tarball"
		publish "$tmp" "$source"
	fi
	unlock
}

# check_config CONFIG FRAGMENT...: prints every line of the fragments that did
# not come to be. A symbol that is to be off may be missing from CONFIG, but
# not from every Kconfig file: that is a misspelt one.
check_config() {
	config=$1
	shift
	awk '
	FILENAME == ARGV[1] {
		if (match($0, /^CONFIG_[A-Za-z0-9_]+=/))
			value[substr($0, 1, RLENGTH - 1)] = $0
		next
	}
	/^CONFIG_[A-Za-z0-9_]+=/ {
		symbol = substr($0, 1, index($0, "=") - 1)
		if (!(symbol in value))
			print $0 ": the kernel has it not set"
		else if (value[symbol] != $0)
			print $0 ": the kernel has " value[symbol]
		next
	}
	/^# CONFIG_[A-Za-z0-9_]+ is not set$/ {
		if ($2 in value)
			print $0 ": the kernel has " value[$2]
		next
	}
	/^#?[^#]*CONFIG_/ || /^[^#]/ { print $0 ": not a line of a fragment" }
	' "$config" "$@"
	declared=$(mktemp "$cache/tmp/symbols.XXXXXX")
	find "$source" -name 'Kconfig*' -exec \
		sed -n 's/^[[:blank:]]*\(menu\)*config[[:blank:]]*/CONFIG_/p' {} + |
		sort -u >"$declared"
	sed -n 's/^# \(CONFIG_[A-Za-z0-9_]*\) is not set$/\1/p' "$@" | sort -u |
		comm -23 - "$declared" | sed 's/$/: no such symbol/'
	rm -f "$declared"
}

kmake() {
	make -C "$source" O="$objects" ARCH=x86 CC="$CC" HOSTCC="$CC" \
		KBUILD_BUILD_USER=taskmonitor KBUILD_BUILD_HOST=lab "$@"
}

configure() {
	say "$name: configuring"
	# shellcheck disable=SC2046 # one word per fragment is meant
	set -- $(fragments)
	cat "$@" >"$objects/asked"
	kmake KCONFIG_ALLCONFIG="$objects/asked" allnoconfig >"$log" 2>&1 ||
		fail 'cannot be configured'
	check_config "$objects/.config" "$@" >"$objects/dropped"
	[ ! -s "$objects/dropped" ] || {
		log=$objects/dropped
		fail 'cannot be configured as its fragments ask'
	}
}

# Shows that it is alive while it builds for minutes.
progress() {
	count=0
	while IFS= read -r line; do
		printf '%s\n' "$line"
		case $line in
		'  CC '* | '  AS '*) count=$((count + 1)) ;;
		*) continue ;;
		esac
		[ $((count % 100)) -ne 0 ] || say "$name: $count files, ${line##* }"
	done
}

# What a kernel's checkers look at, where that is not everything.
#
# KASAN leaves the other checkers alone: half its work would be on them.
# In the race detector's kernel only what writes a module's variables behind its
# back is instrumented: module parameters. Then every report is about the module,
# none about the kernel's own harmless races; and what the module reads of the
# kernel's is watched all the same (race at unknown origin).
instrument() {
	case $flavour in
	debug)
		for f in lockdep debugobjects unwind_frame stacktrace extable \
			smp_processor_id spinlock_debug; do
			echo "KASAN_SANITIZE_$f.o=n"
		done
		;;
	kcsan)
		printf '%s\n' KCSAN_SANITIZE=n KCSAN_SANITIZE_params.o=y \
			KCSAN_SANITIZE_kstrtox.o=y
		;;
	esac
}

compile() {
	say "$name: compiling, about five minutes on two CPUs; log: $log"
	# shellcheck disable=SC2046 # one word per variable is meant
	{
		kmake -j"$(nproc)" $(instrument) bzImage modules 2>&1 &&
			echo yes >"$objects/compiled"
	} | progress >>"$log"
	[ -e "$objects/compiled" ] || fail 'does not compile'
}

# Other jobs go on for a while after one has failed.
fail() {
	grep -n -E ':[0-9]+: |error:|undefined reference|\*\*\* ' "$log" |
		head -n 20 >&2
	tail -n 20 "$log" >&2
	die "kernel $name $1"
}

# What a module is built against stays: headers, tools, Module.symvers.
trim() {
	rm -f "$objects"/vmlinux* "$objects"/.vmlinux* "$objects"/.tmp_vmlinux* \
		"$objects/asked" "$objects/dropped" "$objects/compiled"
	mv "$objects/arch/x86/boot/bzImage" "$objects/bzImage"
	# From 6.13 on it names the place where it was built.
	sed -i "s,$objects\$,$dir," "$objects/Makefile"
	find "$objects" -path "$objects/scripts" -prune -o \
		-path "$objects/tools/objtool" -prune -o \
		-path "$objects/arch/x86/boot/*" -type f -exec rm -f {} + -o \
		-type f \( -name '*.[oa]' -o -name '.*.cmd' -o -name '*.mod*' \) \
		-exec rm -f {} +
}

# A tree is of no use without the source that it refers to.
is_built() {
	[ -d "$dir/source/" ]
}

build() {
	need_tools
	prepare_source
	lock "kernel-$name"
	! is_built || return 0
	objects=$(scratch kernel)
	trap 'rm -rf "$objects"' EXIT
	trap 'exit 130' INT TERM
	mkdir -p "$cache/log"
	log=$cache/log/$name.log
	configure
	compile
	trim
	publish "$objects" "$dir"
	unlock
}

# Words that this kernel needs on its command line. Emulation is slow, which is
# no lockup. Allocations can only be profiled where the boot allows it. 6.1
# distrusts an emulated CPU's clock and takes one that costs far more. 7.x forgets
# for a moment, in identify_cpu(), that it has five levels of page tables: an
# interrupt just then is a wild access to KASAN.
command_line() {
	printf 'watchdog_thresh=60'
	case $name in
	6.12-debug) printf ' sysctl.vm.mem_profiling=0' ;;
	newest-debug) printf ' sysctl.vm.mem_profiling=0 no5lvl' ;;
	6.1-debug) printf ' tsc=reliable' ;;
	esac
}

# Sets what is built from which version, and where it goes.
select_version() {
	found=$(source_version "$1") || exit
	package=$1-$(printf '%s\n' "$found" | tr -c "A-Za-z0-9.+-" _)
	# shellcheck disable=SC2046 # one word per fragment is meant
	dir=$cache/kernel/$name-$({
		printf '%s\n' "$package" "$build_version"
		"$CC" --version
		instrument
		cat $(fragments)
	} | key)
}

# Is everything here that a build needs of Debian? It is fetched if not.
can_build() {
	[ -n "$version" ] || return 1
	select_version "$version"
	! is_built && ! [ -d "$(source_tree)" ] || return 0
	lock "source-$version"
	(source_tarball "$version") >/dev/null && fetched=0 || fetched=1
	unlock
	return "$fetched"
}

# Sets the version of the newest kernel; where the network is away the one that
# was built last.
select_newest() {
	newest_enter
	newest_update 1440
	version=$(newest_version)
	! can_build || return 0
	# The lists may name a version that the mirror has dropped.
	newest_update 0
	version=$(newest_version)
	can_build || select_last_built
}

select_last_built() {
	dir=$(readlink "$cache/kernel/$name") || dir=/nowhere
	is_built ||
		cannot_be_had "kernel $name cannot be had: no source from $mirror, $suite${no_answer:+ ($no_answer)}, and none was built before"
	warn "no source from $mirror, $suite${no_answer:+ ($no_answer)}; taking the $name that was built before, $(built_release)"
}

built_release() {
	cat "$dir/include/config/kernel.release"
}

[ $# -eq 1 ] ||
	die 'usage: debug-kernel.sh 6.1-debug|6.12-debug|newest-debug|6.12-kcsan'
name=$1
case $name in
6.1-debug | 6.12-debug | newest-debug | 6.12-kcsan) ;;
*) die "unknown kernel '$name'; use 6.1-debug, 6.12-debug, newest-debug or 6.12-kcsan" ;;
esac
version=${name%-*} flavour=${name#*-}

# A module must be built with its kernel's compiler, and this is make's choice.
CC=gcc
command -v "$CC" >/dev/null || die 'no gcc; run scripts/setup.sh debug'

case $version in
newest) select_newest ;;
*) select_version "$version" ;;
esac
is_built || build
touch "$dir" "$(readlink "$dir/source")"
[ "${name%-debug}" != newest ] || ln -sfn "$dir" "$cache/kernel/$name"
prune "$cache/kernel" 30
prune "$cache/source" 30

assign KERNEL_RELEASE "$(built_release)"
assign KERNEL_IMAGE "$dir/bzImage"
assign KERNEL_BUILD "$dir"
assign KERNEL_MODULES ''
assign KERNEL_CMDLINE "$(command_line)"
