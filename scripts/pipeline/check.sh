#!/usr/bin/env bash
# Checks all scripts without a database: names, versions, encodings, batches, missing down scripts.
#
# From the environment:
#   DBVC_BINARY          the dbvc to check with; default: target/release/dbvc
#   DBVC_MIGRATIONS_DIR  folder of the scripts; default: migrations
#   GITHUB_ACTIONS       set by GitHub: findings become annotations of the files
#
# Ends as `dbvc check` does: 0 when no finding is an error, 1 when one is, 2 when a path cannot be read.
set -euo pipefail

format=human
if [[ -n "${GITHUB_ACTIONS:-}" ]]; then format=github; fi
exec "${DBVC_BINARY:-target/release/dbvc}" check --format "$format" -- "${DBVC_MIGRATIONS_DIR:-migrations}"
