#!/usr/bin/env bash
# Builds the zip that `az functionapp deployment source config-zip` takes, and unpacked `func azure functionapp publish`:
#   package.sh [--output FILE] [--binary FILE]
# It holds bin/dbvc with its execute bit, host.json and the function folders, and nothing else.
#
# --output FILE  where it goes; default: target/dbvc.zip
# --binary FILE  the program to put in; default: a release build, static for the target x86_64-unknown-linux-musl where that is
#                installed, else for this machine
set -euo pipefail

output=target/dbvc.zip
binary=''
usage() {
  echo 'usage: package.sh [--output FILE] [--binary FILE]' >&2
  exit 2
}
while (($# > 0)); do
  if (($# < 2)) || [[ -z "$2" ]]; then usage; fi
  case "$1" in
    --output) output="$2" ;;
    --binary) binary="$2" ;;
    *) usage ;;
  esac
  shift 2
done
# Both are meant from where the caller is.
output="$(realpath -m -- "$output")"
if [[ -n "$binary" ]]; then binary="$(realpath -m -- "$binary")"; fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ -z "$binary" ]]; then
  target=x86_64-unknown-linux-musl
  if rustup target list --installed 2>/dev/null | grep -qx "$target"; then
    cargo build --release --locked --target "$target"
    binary="${CARGO_TARGET_DIR:-target}/$target/release/dbvc"
  else
    echo "note: the target $target is not installed; the program will need the C library of this machine" >&2
    cargo build --release --locked
    binary="${CARGO_TARGET_DIR:-target}/release/dbvc"
  fi
fi
if ! [[ -f "$binary" ]]; then
  echo "there is no program $binary" >&2
  exit 2
fi

stage="$(mktemp -d)"
trap 'rm -rf "$stage"' EXIT
install -D -m 755 -- "$binary" "$stage/bin/dbvc"
install -m 644 host.json "$stage/host.json"
for function in dbvc/function.json dbvc-*/function.json; do
  if [[ -f "$function" ]]; then install -D -m 644 "$function" "$stage/$function"; fi
done
mkdir -p "$(dirname "$output")"
rm -f "$output"
# No entries for folders, and nothing of this machine's users in it.
(cd "$stage" && zip -X --quiet --recurse-paths --no-dir-entries "$output" bin host.json dbvc*)
echo "$output"
