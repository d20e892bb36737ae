#!/bin/sh
# Checks the library without features and with each alone, then counts the crates that each brings.
#
#   sh scripts/features.sh [count]      count: the table of docs/features.md alone, nothing is compiled
set -eu
cd "$(dirname "$0")/.."

features="cpu graph train tune verify weights tracing vulkan"

if [ "${1:-}" != count ]; then
  for feature in "" $features; do
    echo "feature: ${feature:-none}"
    RUSTFLAGS="-D warnings" cargo check --quiet --package wgconv --lib --no-default-features --features "$feature"
  done
fi

crates() {
  cargo tree --package wgconv --edges normal --prefix none "$@" | sed 's/ (\*)$//' | sort -u | wc -l
}
echo "none: $(crates --no-default-features) crates"
for feature in $features; do
  echo "$feature alone: $(crates --no-default-features --features "$feature") crates"
done
echo "default: $(crates) crates"
