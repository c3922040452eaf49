#!/usr/bin/env bash
# The extended tests of the second pass, on a database that is thrown away afterwards: applies everything from nothing, verifies,
# rolls back from the newest migration on as far as there are down scripts, applies everything again, and looks that the schema
# is the same as after the first time and that nobody sees drift. Made for throwaway.sh; refuses what already has migrations.
#
# From the environment: see lib.sh.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

status_of() {
  request GET "migrations/status?detailed=true&databaseId=$DATABASE_ID"
  expect_success
}

snapshot() {
  jq --null-input --arg database "$DATABASE_ID" --arg environment "$DBVC_ENVIRONMENT" --arg executor "$EXECUTOR" \
    '{databaseId: $database, environment: $environment, type: "manual", executor: $executor}' >"$WORK/body"
  request POST snapshots "$WORK/body"
  expect_success
  SNAPSHOT="$(jq --raw-output .snapshotId "$WORK/answer")"
}

# no_difference TEXT QUERY: ends the script when GET drift tells of changes.
no_difference() {
  request GET "drift?databaseId=$DATABASE_ID$2"
  expect_success
  if jq --exit-status '.detected == false' "$WORK/answer" >/dev/null; then return 0; fi
  fail 1 "$1
$(jq --raw-output '.reason // empty, (.changes[]? | "  \(.change) \(.kind) \(.name)", (.details[]? | "    \(.property): \(.from) -> \(.to)"))' "$WORK/answer")"
}

# Rolls back the newest applied migration for as long as it has a down script. Sets ROLLED_BACK.
roll_back_all() {
  local id
  ROLLED_BACK=0
  while true; do
    status_of
    # In order, as the service lists them; repeatable ones have no version and no down script.
    id="$(jq --raw-output '[.databases[0].migrations[]
      | select(.status == "applied" and .version != null and (.version | test("^100([._]|$)") | not))]
      | last // empty | if .hasDownScript then .migrationId else empty end' "$WORK/answer")"
    if [[ -z "$id" ]]; then return; fi
    jq --null-input --arg database "$DATABASE_ID" --arg environment "$DBVC_ENVIRONMENT" --arg executor "$EXECUTOR" --arg id "$id" \
      '{databaseId: $database, environment: $environment, executor: $executor, migrationId: $id, confirm: $id, reason: "second pass"}' >"$WORK/body"
    run_to_its_end migrations/rollback "$WORK/body"
    if ((ENDED != 0)); then exit "$ENDED"; fi
    ROLLED_BACK=$((ROLLED_BACK + 1))
  done
}

connect
require_environment
find_databases
for database in "${DATABASES[@]}"; do
  use_database "$database"
  status_of
  if jq --exit-status '[.databases[0].migrations[]? | select(.version // "" | test("^100([._]|$)") | not)] != []' "$WORK/answer" >/dev/null; then
    fail 2 "$DATABASE_ID at $ROOT has migrations already; the second pass rolls back, and is for a database that is thrown away.
Next: run it by throwaway.sh."
  fi
done

say '--- everything from nothing'
"$PIPELINE/register.sh"
"$PIPELINE/run.sh"
"$PIPELINE/verify.sh"
for database in "${DATABASES[@]}"; do
  use_database "$database"
  snapshot
  first="$SNAPSHOT"
  say "--- $DATABASE_ID: back"
  roll_back_all
  say "rolled back: $ROLLED_BACK"
  say "--- $DATABASE_ID: once more"
  DBVC_DATABASES="$DATABASE_ID" "$PIPELINE/run.sh"
  snapshot
  no_difference "The schema of $DATABASE_ID is not the same after rolling back and applying again: a down script leaves something, or takes too much." \
    "&from=$first&to=$SNAPSHOT"
  no_difference "$DATABASE_ID shows drift after the second pass." ''
done
"$PIPELINE/verify.sh"
say '--- the same schema both times, and no drift'
