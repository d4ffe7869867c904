#!/usr/bin/env bash
# Installs what the tests need beside Go: a C compiler for the race detector,
# PostgreSQL and a browser. Where all is there it says and does nothing.
set -euo pipefail

has() { command -v "$1" >/dev/null 2>&1; }
has_compiler() { echo '#include <stdlib.h>' | gcc -E - >/dev/null 2>&1; }
has_postgres() { has initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }
has_browser() {
	local name
	for name in chromium chromium-browser google-chrome google-chrome-stable chrome; do
		if has "$name"; then return 0; fi
	done
	return 1
}

packages=""
has_compiler || packages+=" gcc libc6-dev"
has_postgres || packages+=" postgresql"
has_browser || packages+=" chromium fonts-liberation" # without a font, screenshots show boxes
if [ -z "$packages" ]; then exit 0; fi

install="apt-get install -y --no-install-recommends$packages"
if ! has apt-get; then
	echo "error: the tests need$packages (Debian's names); there is no apt-get here: install them with this system's own packages" >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "error: the tests need$packages; as root, run: apt-get update && $install" >&2
	exit 1
fi

echo "== install$packages, once"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # the list of packages is meant to be split
if ! { apt-get update && $install; } >"$log" 2>&1 </dev/null; then
	cat "$log" >&2
	echo "error: apt-get failed; by hand: apt-get update && $install" >&2
	exit 1
fi
