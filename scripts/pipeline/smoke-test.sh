#!/usr/bin/env bash
# Looks whether an app that was just deployed can do its work: GET health, again until it is healthy.
#
# From the environment:
#   DBVC_BASE_URL          address of the app; required
#   DBVC_ENVIRONMENT       environment that the app must be of; required
#   DBVC_EXPECTED_VERSION  version of dbvc that must answer; default: any
#   DBVC_PATIENCE_SECONDS  how long the app may take; default: 300
#
# Ends with 0 when it is healthy or degraded (the audit trail waits for Cosmos DB, migrations do not), 1 when it is not, 2 when
# the app is another one than was meant.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Nobody asks for a key here, so that none is sent.
unset DBVC_FUNCTION_KEY
connect
require_environment
began="$SECONDS"
while true; do
  reason=''
  if ! call GET health; then
    reason="$FAULT"
  elif ! jq --exit-status '.status and .environment' "$WORK/answer" >/dev/null 2>&1; then
    reason="$(answer_sentences)"
  elif [[ "$STATUS" != 200 ]]; then
    reason="$(jq --raw-output '"dbvc \(.version) is \(.status): " + ([.checks | to_entries[] | "\(.key) is \(.value.status)"] | join(", ")) + "."' "$WORK/answer")
Next: the log of the app has the cause."
  elif ! jq --exit-status --arg version "${DBVC_EXPECTED_VERSION:-}" '$version == "" or .version == $version' "$WORK/answer" >/dev/null; then
    reason="$(jq --raw-output --arg version "$DBVC_EXPECTED_VERSION" '"dbvc \(.version) answers, not \($version)."' "$WORK/answer")
Next: look whether the deployment went through; an old instance may serve for some minutes."
  else
    break
  fi
  if ((SECONDS - began + 2 > PATIENCE)); then fail 1 "$reason"; fi
  sleep 2
done
if ! jq --exit-status --arg environment "$DBVC_ENVIRONMENT" '.environment == $environment' "$WORK/answer" >/dev/null; then
  fail 2 "$(jq --raw-output --arg root "$ROOT" --arg environment "$DBVC_ENVIRONMENT" '"The app at \($root) is of the environment \(.environment), not \($environment)."' "$WORK/answer")
Next: check DBVC_BASE_URL, and the setting DBVC_ENVIRONMENT of the app."
fi
say "$(jq --raw-output '"dbvc \(.version) in \(.environment) (\(.mode)): \(.status)"' "$WORK/answer")"
if jq --exit-status '.status == "degraded"' "$WORK/answer" >/dev/null; then
  annotate warning '' '' 'The app is degraded: its audit trail waits for Cosmos DB.'
fi
