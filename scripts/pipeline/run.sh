#!/usr/bin/env bash
# Applies what is pending on each database, one after the other, and stops at the first that fails. The errors of a script are
# told with its file and line.
#
# From the environment: see lib.sh.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

connect
require_environment
find_databases
for database in "${DATABASES[@]}"; do
  use_database "$database"
  body_of_run '{}'
  run_to_its_end migrations/run "$WORK/body"
  if ((ENDED != 0)); then exit "$ENDED"; fi
done
