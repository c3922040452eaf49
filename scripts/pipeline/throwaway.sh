#!/usr/bin/env bash
# Runs a command against a dbvc of its own, which ends with it and leaves nothing:
#   throwaway.sh COMMAND [ARGUMENT…]
# The command finds the dbvc by DBVC_BASE_URL, and has no key. Its databases are embedded, in a folder that is removed, unless the
# environment has SQL_CONNECTION_STRING: then its home database is the one that this names.
#
# From the environment:
#   DBVC_BINARY       the dbvc to start; default: target/release/dbvc
#   DBVC_ENVIRONMENT  environment that it serves, such as dev; required
#
# Ends as the command does; with 1, and what dbvc said, when that does not start.
set -euo pipefail

binary="${DBVC_BINARY:-target/release/dbvc}"
: "${DBVC_ENVIRONMENT:?must be the environment that is meant, such as dev}"
if (($# == 0)); then
  echo 'usage: throwaway.sh COMMAND [ARGUMENT…]' >&2
  exit 2
fi

folder="$(mktemp -d)"
server=''
end() {
  if [[ -n "$server" ]]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$folder"
}
trap end EXIT

unset DBVC_FUNCTION_KEY
is_ready() {
  curl --disable --silent --fail --max-time 5 --output /dev/null "$DBVC_BASE_URL/api/dbvc/health"
}
for _ in 1 2 3 4 5; do
  # Somebody else may have the port; then dbvc says so and ends, and another one is tried.
  port=$((20000 + RANDOM % 12000))
  export DBVC_BASE_URL="http://127.0.0.1:$port"
  FUNCTIONS_CUSTOMHANDLER_PORT="$port" DBVC_DATA_DIR="$folder/data" "$binary" serve >"$folder/log" 2>&1 &
  server=$!
  deadline=$((SECONDS + 60))
  while kill -0 "$server" 2>/dev/null && ((SECONDS < deadline)); do
    if grep -q 'dbvc serves' "$folder/log" && is_ready; then
      "$@" && code=0 || code=$?
      exit "$code"
    fi
    sleep 0.1
  done
  if kill -0 "$server" 2>/dev/null || ! grep -q 'cannot listen' "$folder/log"; then break; fi
done
echo 'dbvc does not start, or its home database cannot be reached. It said:' >&2
sed 's/^/  | /' "$folder/log" >&2
exit 1
