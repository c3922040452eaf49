# shellcheck shell=bash
# Calls the API of GitHub for the scripts beside it. To be sourced after lib.sh.
#
# From the environment:
#   GITHUB_TOKEN       token of the job; required
#   GITHUB_REPOSITORY  owner/name; required
#   GITHUB_API_URL     default: https://api.github.com

# github METHOD PATH [BODY-FILE]: one request; PATH is below /repos/<repository>/. Ends the script when it is refused.
github() {
  local url="${GITHUB_API_URL:-https://api.github.com}/repos/${GITHUB_REPOSITORY:?must be owner/name}/$2"
  if ! transfer 'env.GITHUB_TOKEN // "" | gsub("\\s"; "") | "authorization: Bearer " + .' "$1" "$url" "${3:-}" \
    --header 'Accept: application/vnd.github+json' --header 'X-GitHub-Api-Version: 2022-11-28'; then
    fail 1 "GitHub cannot be reached at $url: $FAULT"
  fi
  if [[ "$STATUS" != 2?? ]]; then
    fail 1 "GitHub refused $1 $2 ($STATUS): $(jq --raw-output '.message? // "no reason given"' "$WORK/answer" 2>/dev/null || echo 'no reason given')
Next: look at the permissions of the job."
  fi
}
