#!/usr/bin/env bash
# Verifies dbvc's records of each database. Ends with 1 when a check fails; what is only worth knowing is told.
#
# From the environment: see lib.sh.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

connect
require_environment
find_databases
worst=0
for database in "${DATABASES[@]}"; do
  use_database "$database"
  jq --null-input --arg database "$DATABASE_ID" --arg environment "$DBVC_ENVIRONMENT" --arg executor "$EXECUTOR" \
    '{databaseId: $database, environment: $environment, executor: $executor}' >"$WORK/body"
  request POST integrity/verify "$WORK/body"
  expect_success
  summary="$(jq --raw-output --arg database "$DATABASE_ID" '
    def count($status): [.checks[] | select(.status == $status)] | length;
    "\($database): \(.checks | length) checks, \(count("pass")) passed, \(count("warn")) to know, \(count("fail")) failed"' "$WORK/answer")"
  findings="$(jq --raw-output '.checks[] | select(.status != "pass")
    | "  \(.status)  \(.code): \(.title). \(.detail // "")", (.items[]? | "        \(if type == "string" then . else tojson end)")' "$WORK/answer")"
  while IFS=$'\t' read -r level message; do
    annotate "$level" '' '' "$DATABASE_ID: $message"
  done < <(jq --raw-output '.checks[] | select(.status == "warn" or .status == "fail")
    | [if .status == "fail" then "error" else "warning" end, "\(.title). \(.detail // "")"] | @tsv' "$WORK/answer")
  if jq --exit-status .healthy "$WORK/answer" >/dev/null; then
    say "$summary${findings:+$'\n'$findings}"
  else
    complain "$summary
$findings
Next: Test-MigrationIntegrity.ps1 -Fix mends what needs no guessing; docs/troubleshooting.md has the rest."
    worst=1
  fi
done
exit "$worst"
