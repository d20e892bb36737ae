#!/bin/sh
# Runs every test. The tests need a GPU adapter; where there is none, a software Vulkan driver is installed first.
#
#   sh scripts/test.sh [ARGUMENTS OF cargo test]
set -eu
cd "$(dirname "$0")/.."

# The program that is asked is built with the tests: alone, its dependencies would have other features and be built twice.
cargo test --workspace --no-run

# 0: an adapter is there. The library itself is asked, since that is what the tests will use.
program="${CARGO_TARGET_DIR:-target}/debug/wgconv"
[ -x "$program" ] || program="cargo run --quiet --package wgconv-cli --" # another folder, by cargo's configuration
has_adapter() {
  $program info | grep -q '^0: '
}

if ! has_adapter; then
  if command -v apt-get >/dev/null 2>&1; then
    echo "no GPU adapter found: installing a software Vulkan driver (mesa-vulkan-drivers, libvulkan1)"
    as_root=""
    [ "$(id -u)" = 0 ] || as_root="sudo"
    $as_root apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends mesa-vulkan-drivers libvulkan1 >/dev/null
  fi
  if ! has_adapter; then
    echo "no GPU adapter found, and no way to install one here. Install a Vulkan driver, such as Mesa's lavapipe:" >&2
    echo "  Fedora: dnf install mesa-vulkan-drivers vulkan-loader    Arch: pacman -S vulkan-swrast vulkan-icd-loader" >&2
    echo "  Windows: the GPU vendor's driver    macOS: Metal is always there, except in virtual machines without a GPU" >&2
    exit 1
  fi
fi

cargo test --workspace "$@"
