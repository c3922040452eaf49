#!/usr/bin/env bash
# Captures the schema of each database. The snapshots are of the type manual: a run takes the one that counts as right by
# itself, and a pipeline must not declare right what somebody changed by hand since then.
#
# From the environment: see lib.sh.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

connect
require_environment
find_databases
for database in "${DATABASES[@]}"; do
  use_database "$database"
  jq --null-input --arg database "$DATABASE_ID" --arg environment "$DBVC_ENVIRONMENT" --arg executor "$EXECUTOR" \
    '{databaseId: $database, environment: $environment, type: "manual", executor: $executor}' >"$WORK/body"
  request POST snapshots "$WORK/body"
  expect_success
  say "$(jq --raw-output '"\(.databaseId): snapshot \(.snapshotId), schema \(.schemaHash), "
    + ([.objectCounts | to_entries[] | select(.value > 0) | "\(.value) \(.key)"] | join(", "))' "$WORK/answer")"
done
