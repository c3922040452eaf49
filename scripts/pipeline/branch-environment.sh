#!/usr/bin/env bash
# Says which environment a branch belongs to, and whether it is the first or the second pass there:
#   branch-environment.sh [BRANCH]
# The branch is GITHUB_REF_NAME by default. The lines `environment=…` and `pass=…` go to standard output, and to the file
# GITHUB_OUTPUT where GitHub gives one. Ends with 2 for a branch that has no environment.
set -euo pipefail

branch="${1:-${GITHUB_REF_NAME:-}}"
case "$branch" in
  develop) lines=$'environment=dev\npass=first' ;;
  staging) lines=$'environment=dev\npass=second' ;;
  main) lines=$'environment=prod\npass=first' ;;
  *)
    printf 'The branch %q has no environment: develop and staging are for dev, main is for prod.\n' "$branch" >&2
    exit 2
    ;;
esac
printf '%s\n' "$lines"
if [[ -n "${GITHUB_OUTPUT:-}" ]]; then printf '%s\n' "$lines" >>"$GITHUB_OUTPUT"; fi
