# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Helpers that the scripts share; sourced, never run.

# Messages and sort orders are parsed below: one locale for all of it.
LC_ALL=C
# A user's PATH lacks these, and modprobe, depmod and mke2fs are there.
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL PATH
# `make test` must not hand its own flags to the builds that it starts.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL

# The scripts of one tree call each other; the sources may be another tree's.
tm_scripts=$(cd -- "$(dirname -- "$0")" && pwd)
case $tm_scripts in
*/scripts) ;;
*/tests) tm_scripts=${tm_scripts%/tests}/scripts ;;
*) tm_scripts=${tm_scripts%/tests/*}/scripts ;;
esac
tm_root=$(dirname -- "$tm_scripts")

cache=${TASKMONITOR_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/taskmonitor}

say() {
	printf '%s\n' "$*" >&2
}

warn() {
	say "${0##*/}: warning: $*"
}

die() {
	say "${0##*/}: $*"
	exit 2
}

# Of a kernel that there is no way to get here now, by no fault of anything here:
# a test that needs it is skipped.
cannot_be_had() {
	say "${0##*/}: $*"
	exit 77
}

case $cache in
/*) ;;
*) die "the cache directory '$cache' is not an absolute path" ;;
esac
# kbuild splits its paths at blanks.
case $cache$tm_root in
*[[:space:]]*) die "blanks in a path break kbuild: '$tm_root', '$cache'" ;;
esac
mkdir -p "$cache" || die "cannot create the cache directory '$cache'"

# A string that eval reads back as it was.
quote() {
	printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"
}

# assign NAME VALUE: one line for the caller's eval.
assign() {
	printf '%s=%s\n' "$1" "$(quote "$2")"
}

# A short key of what comes in on stdin.
key() {
	sha256sum | cut -c1-16
}

# lock NAME: holds it on fd 9 until unlock, or until this process is gone.
lock() {
	mkdir -p "$cache/locks"
	exec 9>"$cache/locks/$1"
	if ! flock -n 9; then
		say "waiting for another run that holds '$1'"
		flock 9
	fi
}

unlock() {
	exec 9>&-
}

# prune DIRECTORY DAYS: drops what has not been used or touched for that long.
prune() {
	find "$1" -mindepth 1 -maxdepth 1 -type d -mtime "+$2" -exec rm -rf {} +
}

# A directory that the caller fills and then renames into place, so that an
# interrupted run leaves nothing half done. Call under a lock.
scratch() {
	mkdir -p "$cache/tmp"
	prune "$cache/tmp" 1
	mktemp -d "$cache/tmp/$1.XXXXXX"
}

# publish TMP FINAL
publish() {
	mkdir -p "$(dirname -- "$2")"
	rm -rf "$2"
	mv "$1" "$2"
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		return 1
	fi
}

apt_lists=/var/lib/apt/lists

apt_update() {
	say 'apt-get update'
	as_root apt-get -q update >&2
}

have_apt_lists() {
	[ -n "$(find "$apt_lists" -maxdepth 1 -name '*Packages*' -print -quit \
		2>/dev/null)" ]
}

# Once an update has been tried today, what apt does not know is not to be had.
# apt works in partial even when there is nothing new.
refresh_lists() {
	! have_apt_lists ||
		[ -z "$(find "$apt_lists/partial" -prune -mtime -1 2>/dev/null)" ] ||
		return 0
	apt_update || have_apt_lists || die 'apt-get update failed'
}

# A package may stand for another one: Debian 13 has libelf1 as libelf1t64.
missing_packages() {
	dpkg-query -W -f '${db:Status-Status} ${Package} ${Provides}\n' 2>/dev/null |
		awk -F '[ ,]+' -v wanted="$*" '
		$1 == "installed" { for (i = 2; i <= NF; i++) here[$i] }
		END {
			n = split(wanted, names, " ")
			for (i = 1; i <= n; i++)
				if (!(names[i] in here))
					print names[i]
		}'
}

known_package() {
	[ -n "$(package_field "$1" Version)" ]
}

# need_packages PACKAGE...: installs what is missing, saying so first.
need_packages() {
	want=$(missing_packages "$@" | tr '\n' ' ')
	want=${want% }
	[ -n "$want" ] || return 0
	command -v apt-get >/dev/null ||
		die "needs, on Debian, the packages: $want"
	as_root true ||
		die "neither root nor sudo; please install: $want"
	fresh=
	for p in $want; do
		[ -n "$fresh" ] || { have_apt_lists && known_package "$p"; } || {
			apt_update || die 'apt-get update failed'
			fresh=yes
		}
	done
	say "will install: $want"
	install_packages "$want" && return 0
	# Old lists name package versions that the mirror has dropped since.
	if [ -z "$fresh" ] && apt_update && install_packages "$want"; then
		return 0
	fi
	die "could not install: $want"
}

install_packages() {
	# shellcheck disable=SC2086 # one word per package is meant
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y --no-install-recommends install $1 >&2 </dev/null
}

# package_field PACKAGE FIELD: of the version that apt would take. A name that apt
# does not know is a pattern to it: linux-source-6.1 finds linux-source-6.12.
package_field() {
	apt-cache show --no-all-versions "$1" 2>/dev/null |
		awk -v package="$1" -v field="$2:" '
		$1 == "Package:" { named = $2 == package }
		named && $1 == field { sub(/^[^ ]* /, ""); print; exit }'
}

# package_depends PACKAGE REGEX: the names that it depends on and that match.
package_depends() {
	package_field "$1" Depends | tr ',|' '[\n*]' |
		sed 's/^ *//; s/[ (:].*//' | grep -E "$2" || :
}

# download PACKAGE DIR: prints the path of its .deb, which nothing installs.
download() {
	say "downloading $1"
	# As root apt would become _apt, which may not write to a cache in /root.
	(cd -- "$2" && apt-get -qq -o APT::Sandbox::User=root download "$1") \
		>&2 || return 1
	find "$2" -maxdepth 1 -name "$1_*.deb" | grep .
}

# source_version VERSION: the version of the package that source_tarball takes: the
# installed one, or apt's choice.
source_version() {
	if [ -e "/usr/src/linux-source-$1.tar.xz" ]; then
		dpkg-query -W -f '${Version}' "linux-source-$1"
		return
	fi
	known_package "linux-source-$1" || refresh_lists
	package_field "linux-source-$1" Version | grep . ||
		cannot_be_had "apt knows no kernel source of version $1 here"
}

# source_tarball VERSION (6.1, 6.12): the path of Debian's kernel source, which
# is the installed package's where there is one.
source_tarball() {
	installed=/usr/src/linux-source-$1.tar.xz
	if [ -e "$installed" ]; then
		printf '%s\n' "$installed"
		return
	fi
	version=$(source_version "$1") || exit
	dir=$cache/source/$1-$version
	if ! [ -d "$dir" ]; then
		tmp=$(scratch source)
		deb=$(download "linux-source-$1" "$tmp") ||
			die "cannot download linux-source-$1"
		dpkg-deb --fsys-tarfile "$deb" |
			tar -x -C "$tmp" --strip-components=3 \
				"./usr/src/linux-source-$1.tar.xz" ||
			die "cannot unpack linux-source-$1"
		rm -f "$deb"
		publish "$tmp" "$dir"
	fi
	printf '%s\n' "$dir/linux-source-$1.tar.xz"
}

# kernel_checkers: the path of the kernel's own checkers, taken from its source, for
# no smaller package has them: scripts/checkpatch.pl, tools/testing/kunit/kunit.py.
kernel_checkers() {
	tarball=$(source_tarball 6.12)
	taken="*/scripts/checkpatch.pl */scripts/spelling.txt */scripts/kernel-doc
		*/scripts/const_structs.checkpatch */tools/testing/kunit/*.py"
	checkers=$cache/checkers/$({
		stat -c '%n %s %Y' "$tarball"
		printf '%s\n' "$taken"
	} | key)
	lock checkers
	if ! [ -d "$checkers" ]; then
		say 'taking checkpatch and kunit.py out of the kernel source (half a minute)'
		tmp=$(scratch checkers)
		# shellcheck disable=SC2086 # one word per pattern is meant
		(set -f && xz -T0 -dc "$tarball" |
			tar -x -C "$tmp" --strip-components=1 --wildcards $taken)
		publish "$tmp" "$checkers"
	fi
	unlock
	printf '%s\n' "$checkers"
}

# What the module is built from, below a source directory.
module_files() {
	(cd -- "$1" && ls -- Kbuild Makefile ./*.[ch] tests/kunit/*.h \
		include/trace/events/*.h 2>/dev/null) |
		sed 's,^\./,,'
}

# What a kernel that found a bug prints after the time stamp. A "WARNING:"
# further on in a line is about a CPU's mitigations.
kernel_reports='(WARNING:|BUG[: ]|watchdog: BUG|Oops|(traps: )?PANIC|Kernel panic'
kernel_reports="$kernel_reports|-+\\[ cut here|=====+\$|Bad (page|rss)"
kernel_reports="$kernel_reports|general protection fault|divide error|double fault"
kernel_reports="$kernel_reports|stack segment:|invalid opcode|UBSAN:|ODEBUG:"
kernel_reports="$kernel_reports|INFO: (task .* blocked|trying to register|possible)"
kernel_reports="$kernel_reports|rcu: INFO: .*(stall|detected)|DEBUG_LOCKS_WARN_ON"
kernel_reports="$kernel_reports|list_(add|del) corruption|refcount_t:"
kernel_reports="$kernel_reports|kmemleak: .* new suspected|.*Objects remaining"
# No memory (error: -12) is no bug of a module that asks for some.
kernel_reports="$kernel_reports|.*still has objects"
kernel_reports="$kernel_reports|kobject: .* failed for .* (with -|\\(error: -([02-9]|1[013-9]))"
kernel_reports="$kernel_reports|sysfs: cannot create|debugfs: .* already present"
kernel_reports="$kernel_reports|seq_file: buggy)"

# debugfs, from 6.12 on, warns of itself when a file is opened between the two steps of a
# module's unloading, try_release_module_ref() and MODULE_STATE_GOING: the opener
# gets ENXIO, as it should. That one warning is none of the module's.
# 7.x names the file first, and two functions of that kind.
known_report='WARNING: (.* at )?fs/debugfs/file\.c:[0-9]+ (at )?full_proxy_open(_[a-z]+)?\+'

# reports FILE: the numbers of the lines where a kernel log reports a bug, but for
# the known one: it, and the line that announces it, are left out.
reports() {
	grep -nE "\[ *[0-9]+\.[0-9]{6}\](\[ *[TC][0-9]+\])? $kernel_reports" "$1" |
		awk -F : -v known="$known_report" '
		/-+\[ cut here/ { announced[++last] = $1; next }
		$0 ~ known { if (first < last) delete announced[++first]; next }
		{ print $1 }
		END { for (i in announced) print announced[i] }' | sort -n
}

# first_report FILE: the first of them; nothing where there is none.
first_report() {
	reports "$1" | head -n 1
}

# known_reports FILE: how often the known one is there.
known_reports() {
	grep -cE "$known_report" "$1" || :
}
