#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# deb.sh [DIR]: builds the packages taskmonitor-dkms and taskmonitor into DIR (default:
# deb in the cache), from a copy of the tree, and prints their paths. lintian must have
# nothing to say. The version is MODULE_VERSION of taskmonitor.c.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

out=${1:-$cache/deb}
"$tm_scripts/setup.sh" deb
mkdir -p "$out"
out=$(cd -- "$out" && pwd)
version=$(sed -n 's/^MODULE_VERSION("\(.*\)");/\1/p' "$tm_root/taskmonitor.c")
[ -n "$version" ] || die 'taskmonitor.c tells no MODULE_VERSION'

lock deb
work=$(scratch deb)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
copy=$work/taskmonitor-$version
mkdir -p "$copy/docs" "$copy/scripts"
module_files "$tm_root" | grep -v -e ^tests/ -e ^Makefile | while read -r file; do
	mkdir -p "$copy/$(dirname -- "$file")"
	cp -- "$tm_root/$file" "$copy/$file"
done
cp -R -- "$tm_root/debian" "$copy/debian"
cp -- "$tm_root/docs/taskmonitor.1" "$copy/docs"
cp -- "$tm_root/scripts/taskmonitor" "$copy/scripts"
# It would repeat CHANGELOG.md, and the version.
cat >"$copy/debian/changelog" <<CHANGELOG
taskmonitor ($version) unstable; urgency=medium

  * Version $version. CHANGELOG.md in the source tells what changed.

 -- The taskmonitor developers <taskmonitor@example.org>  $(date -R -d "@${SOURCE_DATE_EPOCH:-$(stat -c %Y "$tm_root/taskmonitor.c")}")
CHANGELOG

say "building the packages of version $version"
(cd -- "$copy" && dpkg-buildpackage -us -uc -b) >"$work/log" 2>&1 || {
	tail -n 30 "$work/log" >&2
	die 'the packages do not build'
}
status=0
found=$(lintian --allow-root --fail-on error,warning "$work"/*.changes 2>&1) ||
	status=$?
if [ "$status" -ne 0 ] || [ -n "$found" ]; then
	say "$found"
	die 'lintian has something to say'
fi
for deb in "$work"/*.deb; do
	mv -- "$deb" "$out"
	printf '%s\n' "$out/${deb##*/}"
done
