#!/usr/bin/env bash
# curl: flow.sh flow | flow.sh defaults
#
# Each step is printed as one line, its name and what was seen; whatever is not as
# the contract says ends the script. The forms of a token request are those of
# clients without a library: v1 and v2, POST and GET, with and without a
# Content-Type, the secret in the body and by Basic.
set -euo pipefail

api=$SWAB_API authority=$SWAB_AUTHORITY client_id=$SWAB_CLIENT_ID client_secret=$SWAB_CLIENT_SECRET ca_file=$SWAB_CA
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

say() { printf '%s\t%s\n' "$1" "$2"; }
fail() {
  echo "$*" >&2
  exit 1
}

# field NAME [FILE] takes a string out of compact JSON, as scripts do.
field() { sed -n "s/.*[{,]\"$1\":\"\([^\"]*\)\".*/\1/p" "${2:-answer.json}"; }

# call STATUS METHOD PATH [JSON] leaves the answer in answer.json.
call() {
  local want=$1 method=$2 path=$3 got
  local data=()
  [ $# -lt 4 ] || data=(-H 'Content-Type: application/json' -d "$4")
  got=$(curl -sS --cacert "$ca_file" -X "$method" -H "Authorization: Bearer $token" "${data[@]}" -o answer.json -w '%{http_code}' "$api$path")
  [ "$got" = "$want" ] || fail "$method $path: $got, want $want: $(cat answer.json)"
}

list() {
  call 200 GET "/api/machines?\$filter=computerDnsName+eq+'$SWAB_NAME'"
  grep -qF "\"id\":\"$SWAB_DEVICE\"" answer.json || fail "the device is not in the list: $(cat answer.json)"
  say "$1" found
}

# by STEP CURL-ARGUMENTS… asks for a token in one way, and lists with it.
by() {
  local step=$1
  shift
  curl -sS --cacert "$ca_file" "$@" >answer.json
  token=$(field access_token)
  [ -n "$token" ] || fail "$step: no token: $(cat answer.json)"
  list "$step"
}

flow() {
  # doc: secret
  curl -sS --cacert "$ca_file" "$authority/oauth2/v2.0/token" \
    -d grant_type=client_credentials -d "client_id=$client_id" -d "client_secret=$client_secret" \
    --data-urlencode "scope=$api/.default" >token.json
  token=$(sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p' token.json)
  # doc: end
  say token "$(field token_type token.json)"

  list list
  call 200 GET "/api/machines/$SWAB_DEVICE"
  [ "$(field computerDnsName)" = "$SWAB_NAME" ] || fail "another machine: $(cat answer.json)"
  say machine "$(field onboardingStatus)"

  local comment='{"Comment":"Collect forensics due to alert 1234"}' action end status link sum
  call 201 POST "/api/machines/$SWAB_DEVICE/collectInvestigationPackage" "$comment"
  action=$(field id)
  say collect "$action"
  end=$((SECONDS + 60)) status=Pending
  while { [ "$status" = Pending ] || [ "$status" = InProgress ]; } && [ $SECONDS -lt $end ]; do
    sleep 0.7
    call 200 GET "/api/machineactions/$action"
    status=$(field status)
  done
  say poll "$status"

  call 200 GET "/api/machineactions/$action/getPackageUri"
  link=$(field value)
  say link "$(sed 's#\(https://[^/]*\)/.*#\1#' <<<"$link")"
  curl -sS --cacert "$ca_file" --fail -D head.txt -o package.zip "$link"
  sum=$(sha256sum <package.zip | cut -d' ' -f1)
  grep -qi "^etag: \"$sum\"" head.txt || fail "the package is not that of its ETag: $(cat head.txt)"
  grep -qiF "repr-digest: sha-256=:$(openssl dgst -sha256 -binary package.zip | base64):" head.txt ||
    fail "the package is not that of its Repr-Digest: $(cat head.txt)"
  say download "$sum"

  call 201 POST "/api/machines/$SWAB_AWAY/collectInvestigationPackage" "$comment"
  action=$(field id)
  call 400 POST "/api/machines/$SWAB_AWAY/collectInvestigationPackage" "$comment"
  grep -qF '"message":"Action is already in progress"' answer.json || fail "another refusal: $(cat answer.json)"
  say second "$(field code)"
  call 200 POST "/api/machineactions/$action/cancel" '{"Comment":"no longer needed"}'
  [ "$(field status)" = Cancelled ] || fail "not cancelled: $(cat answer.json)"
  say cancel "$action"

  local v1=$authority/oauth2/token v2=$authority/oauth2/v2.0/token
  local resource="resource=$api" scope="scope=$api/.default"
  local who="grant_type=client_credentials&client_id=$client_id&client_secret=$client_secret"
  # doc: v1
  curl -sS --cacert "$ca_file" "$authority/oauth2/token" \
    -d grant_type=client_credentials -d "client_id=$client_id" -d "client_secret=$client_secret" \
    --data-urlencode "resource=$api" >token.json
  # doc: end
  grep -qF "\"resource\":\"$api\"" token.json || fail "not an answer of v1: $(cat token.json)"
  grep -q '"expires_on":"[0-9]*"' token.json || fail "not an answer of v1: $(cat token.json)"
  token=$(field access_token token.json)
  list v1
  by v1-get -X GET "$v1" -d "$who&$resource"
  by v2-get -X GET "$v2" -d "$who&$scope"
  by no-content-type -X POST -H 'Content-Type:' "$v2" -d "$who&$scope"
  by v1-no-content-type -X GET -H 'Content-Type:' "$v1?api-version=1.0" -d "$who&$resource"
  by basic -u "$client_id:$client_secret" "$v2" -d "grant_type=client_credentials&$scope"
  by v1-basic -u "$client_id:$client_secret" "$v1" -d "grant_type=client_credentials&$resource"
  by RS256 "$v2" -d "grant_type=client_credentials&client_id=$client_id&$scope" \
    -d client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer -d "client_assertion=$(assertion "$v2")"

  # The same calls with no Content-Type, or as text, as real clients make them.
  call 201 POST "/api/machines/$SWAB_AWAY/collectInvestigationPackage" "$comment"
  action=$(field id)
  curl -sS --cacert "$ca_file" -H "Authorization: Bearer $token" -H 'Content-Type:' -d '{"Comment":"no longer needed"}' \
    -o answer.json "$api/api/machineactions/$action/cancel"
  say body-untyped "$(field status)"
  curl -sS --cacert "$ca_file" -H "Authorization: Bearer $token" -H 'Content-Type: text/plain; charset=utf-8' -d '{"Comment":"once more"}' \
    -o answer.json "$api/api/machineactions/$action/cancel"
  say body-text "$(field code)"
  curl -sS --cacert "$ca_file" -X GET -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -d '{}' \
    -o answer.json "$api/api/machines/$SWAB_DEVICE"
  say body-of-get "$(field id)"

  curl -sS --cacert "$ca_file" -u "$client_id:wrong" "$v2" -d "grant_type=client_credentials&$scope" >answer.json
  grep -q '"error":"invalid_client".*Invalid client secret provided' answer.json || fail "another refusal: $(cat answer.json)"
  say wrong-secret told
}

# assertion AUDIENCE is signed by openssl, as a script would do it.
assertion() {
  local encode="openssl base64 -A" url='y/+\//-_/;s/=//g' thumbprint head claims
  thumbprint=$(openssl x509 -in "$SWAB_CERTIFICATE" -outform DER | openssl dgst -sha1 -binary | $encode | sed "$url")
  head=$(printf '{"alg":"RS256","typ":"JWT","x5t":"%s"}' "$thumbprint" | $encode | sed "$url")
  claims=$(printf '{"aud":"%s","iss":"%s","sub":"%s","exp":%d}' "$1" "$client_id" "$client_id" $(($(date +%s) + 300)) | $encode | sed "$url")
  printf '%s.%s.%s' "$head" "$claims" "$(printf '%s.%s' "$head" "$claims" | openssl dgst -sha256 -sign "$SWAB_CERTIFICATE" | $encode | sed "$url")"
}

# Through the proxy of the environment.
defaults() {
  by list "$authority/oauth2/token" -d grant_type=client_credentials -d "client_id=$client_id" -d "client_secret=$client_secret" \
    -d "resource=$api"
}

"$1"
