"""Debian's python3-msal, for a person: people.py code | people.py device

What a person has to do, open an address or type a code, is printed as a line of
its own, the address by what stands for the browser; the rest is as in flow.py.
"""
import sys

import msal

from flow import api_base, authority, ca_file, call, client_id, device, equal, flow, found, say, token_of

# doc: person
app = msal.PublicClientApplication(
    client_id, authority=authority, instance_discovery=False, verify=ca_file)
scopes = [f"{api_base}/Machine.Read", f"{api_base}/Machine.CollectForensics"]


def by_browser():
    return app.acquire_token_interactive(scopes)


def by_device_code():
    asked = app.initiate_device_flow(scopes)
    say("device", f"{asked['verification_uri']}\t{asked['user_code']}")
    return app.acquire_token_by_device_flow(asked)
# doc: end


def code():
    result = by_browser()
    token = token_of(result)
    say("token", result["token_type"])
    account = app.get_accounts()[0]
    say("who", account["username"])
    flow(token)
    equal(app.acquire_token_silent(scopes, account=account)["access_token"], token)
    say("reuse", "true")
    following = token_of(app.acquire_token_silent(scopes, account=account, force_refresh=True))
    equal(following != token, True)
    say("refresh", found(following))


def by_code():
    """Somebody who may see the device, and no more."""
    result = by_device_code()
    token = token_of(result)
    say("token", result["token_type"])
    say("who", app.get_accounts()[0]["username"])
    say("list", found(token))
    refused = call(token, "POST", f"/api/machines/{device}/collectInvestigationPackage", {"Comment": "alert 1234"})
    equal(refused.status_code, 403)
    say("refused", refused.json()["error"]["message"])


{"code": code, "device": by_code}[sys.argv[1]]()
