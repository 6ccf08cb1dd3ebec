#!/usr/bin/env bash
# Makes an application and its credentials in the working directory, as an
# operator does: admit.sh NAME
set -euo pipefail
name=$1

# doc: app
umask 077 # what follows is secret
swab app create "$name" --role Machine.Read.All --role Machine.CollectForensics >app.txt # its client id and secret
client_id=$(sed -n 's/^client id *//p' app.txt)

openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj "/CN=$name" -keyout key.pem -out certificate.pem
swab app certificate add "$client_id" certificate.pem
cat key.pem certificate.pem >client.pem # libraries want both in one file
# doc: end

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj "/CN=$name" -keyout key.pem -out certificate.pem
swab app certificate add "$client_id" certificate.pem
cat key.pem certificate.pem >p256.pem
