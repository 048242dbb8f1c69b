#!/bin/sh
# Installs the system packages of tests/apt-packages.txt that are missing: as root on Debian by itself, otherwise it says
# what to install and fails. SYSTEM_PACKAGES=skip takes the machine as it is (tests then name what they lack).
set -eu

[ "${SYSTEM_PACKAGES:-}" = skip ] && exit 0

missing=""
for package in $(sed 's/#.*//' "$(dirname "$0")/apt-packages.txt"); do
    status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
    [ "$status" = "install ok installed" ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing system packages for the tests:$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086 # one word a package
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
    exit 0
fi

cat >&2 <<TEXT
The tests need system packages that are not installed:$missing
Install them and try again:
    sudo apt-get update && sudo apt-get install --no-install-recommends$missing
Elsewhere than on Debian, install what corresponds to them and run:
    SYSTEM_PACKAGES=skip make test
TEXT
exit 1
