"""Debian's python3-msal with python3-requests: flow.py flow | flow.py defaults

Each step is printed as one line, its name and what was seen; whatever is not as
the contract says ends the program.
"""
import base64
import hashlib
import json
import os
import sys
import time
import uuid
from urllib.parse import urlsplit

import msal
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

api_base, authority = os.environ["SWAB_API"], os.environ["SWAB_AUTHORITY"]
client_id, client_secret = os.environ["SWAB_CLIENT_ID"], os.environ["SWAB_CLIENT_SECRET"]
name, device, away = os.environ["SWAB_NAME"], os.environ["SWAB_DEVICE"], os.environ["SWAB_AWAY"]
ca_file, certificate_file = os.environ["SWAB_CA"], os.environ["SWAB_CERTIFICATE"]


def say(step, seen):
    print(step, seen, sep="\t", flush=True)


def equal(got, want):
    if got != want:
        raise SystemExit(f"got {got!r}, want {want!r}")


def call(token, method, path, body=None):
    return requests.request(method, api_base + path, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=30)


def found(token):
    answer = call(token, "GET", f"/api/machines?$filter=computerDnsName+eq+'{name}'")
    equal(answer.status_code, 200)
    equal(device in [m["id"] for m in answer.json()["value"]], True)
    return "found"


def flow(token):
    say("list", found(token))
    machine = call(token, "GET", f"/api/machines/{device}").json()
    equal(machine["computerDnsName"], name)
    say("machine", machine["onboardingStatus"])

    comment = {"Comment": "Collect forensics due to alert 1234"}
    asked = call(token, "POST", f"/api/machines/{device}/collectInvestigationPackage", comment)
    equal(asked.status_code, 201)
    action = asked.json()
    say("collect", action["id"])
    end = time.monotonic() + 60
    while action["status"] in ("Pending", "InProgress") and time.monotonic() < end:
        time.sleep(0.7)
        action = call(token, "GET", f"/api/machineactions/{action['id']}").json()
    say("poll", action["status"])

    link = call(token, "GET", f"/api/machineactions/{action['id']}/getPackageUri").json()["value"]
    say("link", "{0.scheme}://{0.netloc}".format(urlsplit(link)))
    answer = requests.get(link, timeout=30)
    equal(answer.status_code, 200)
    digest = hashlib.sha256(answer.content)
    equal(answer.headers["ETag"], f'"{digest.hexdigest()}"')
    equal(answer.headers["Repr-Digest"], f"sha-256=:{base64.b64encode(digest.digest()).decode()}:")
    say("download", digest.hexdigest())

    pending = call(token, "POST", f"/api/machines/{away}/collectInvestigationPackage", comment)
    equal(pending.status_code, 201)
    second = call(token, "POST", f"/api/machines/{away}/collectInvestigationPackage", comment)
    equal(second.status_code, 400)
    equal(second.json()["error"]["message"], "Action is already in progress")
    say("second", second.json()["error"]["code"])
    cancelled = call(token, "POST", f"/api/machineactions/{pending.json()['id']}/cancel", {"Comment": "no longer needed"})
    equal(cancelled.status_code, 200)
    equal(cancelled.json()["status"], "Cancelled")
    say("cancel", pending.json()["id"])


def assertion(audience):
    """An assertion signed with ES256, which the library takes ready made."""
    with open(os.environ["SWAB_EC_CERTIFICATE"], "rb") as file:
        pem = file.read()
    sha256 = x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256())
    now = int(time.time())
    head = {"alg": "ES256", "typ": "JWT", "x5t#S256": base64.urlsafe_b64encode(sha256).decode()}
    claims = {"aud": audience, "iss": client_id, "sub": client_id, "jti": str(uuid.uuid4()), "nbf": now, "exp": now + 300}
    part = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")
    signed = b".".join(part(json.dumps(v).encode()) for v in (head, claims))
    der = serialization.load_pem_private_key(pem, None).sign(signed, ec.ECDSA(hashes.SHA256()))
    raw = b"".join(n.to_bytes(32, "big") for n in utils.decode_dss_signature(der))
    return b".".join((signed, part(raw))).decode()


def whole():
    # doc: secret
    app = msal.ConfidentialClientApplication(
        client_id, client_credential=client_secret, authority=authority,
        instance_discovery=False, verify=ca_file)
    scopes = [f"{api_base}/.default"]
    result = app.acquire_token_silent(scopes, account=None) or app.acquire_token_for_client(scopes)
    # doc: end
    token = token_of(result)
    say("token", result["token_type"])
    flow(token)
    again = app.acquire_token_silent(scopes, account=None) or app.acquire_token_for_client(scopes)
    equal(again["access_token"], token)
    say("reuse", "true")

    # doc: certificate
    with open(certificate_file, "rb") as file:
        pem = file.read()  # certificate and private key
    sha1 = x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA1())
    credential = {"thumbprint": sha1.hex(), "private_key": pem.decode()}  # in place of client_secret
    # doc: end
    sign_in("RS256", credential)
    sign_in("x5c", {**credential, "public_certificate": pem.decode()})
    sign_in("ES256", {"client_assertion": assertion(f"{authority}/oauth2/v2.0/token")})

    other = msal.ConfidentialClientApplication(
        client_id, client_credential="wrong", authority=authority, instance_discovery=False, verify=ca_file)
    result = other.acquire_token_for_client(scopes)
    equal((result["error"], "Invalid client secret provided" in result["error_description"]), ("invalid_client", True))
    say("wrong-secret", "told")


def token_of(result):
    if "access_token" not in result:
        raise SystemExit(f"no token: {result}")
    return result["access_token"]


def sign_in(step, credential):
    app = msal.ConfidentialClientApplication(
        client_id, client_credential=credential, authority=authority, instance_discovery=False, verify=ca_file)
    say(step, found(token_of(app.acquire_token_for_client([f"{api_base}/.default"]))))


def defaults():
    """Every setting as it is by default, through the proxy of the environment."""
    app = msal.ConfidentialClientApplication(client_id, client_credential=client_secret, authority=authority)
    say("list", found(token_of(app.acquire_token_for_client([f"{api_base}/.default"]))))


if __name__ == "__main__":
    {"flow": whole, "defaults": defaults}[sys.argv[1]]()
