// @azure/msal-node, for a person: people.mjs code | people.mjs device
// What a person has to do, open an address or type a code, is printed as a line
// of its own; the rest is as in msal.mjs.
import assert from "node:assert/strict";
import { PublicClientApplication } from "@azure/msal-node";
import { apiBase, authority, clientId, device, flow, found, say } from "./flow.mjs";

const caller = (token) => async (method, path, body) => {
  const answer = await fetch(apiBase + path, {
    method, body: body && JSON.stringify(body),
    headers: { Authorization: `Bearer ${token}`, ...(body && { "Content-Type": "application/json" }) },
  });
  return { status: answer.status, body: await answer.json() };
};

// doc: person
const app = new PublicClientApplication({
  auth: { clientId, authority, knownAuthorities: [new URL(authority).host] },
});
const scopes = [`${apiBase}/Machine.Read`, `${apiBase}/Machine.CollectForensics`];
const byBrowser = () => app.acquireTokenInteractive({
  scopes, openBrowser: async (address) => say("open", address),
});
const byDeviceCode = () => app.acquireTokenByDeviceCode({
  scopes, deviceCodeCallback: ({ verificationUri, userCode }) => say("device", `${verificationUri}\t${userCode}`),
});
// doc: end

async function code() {
  const result = await byBrowser();
  say("token", result.tokenType);
  say("who", result.account.username);
  await flow(caller(result.accessToken));
  const cached = await app.acquireTokenSilent({ scopes, account: result.account });
  assert.equal(cached.accessToken, result.accessToken);
  say("reuse", cached.fromCache);
  const next = await app.acquireTokenSilent({ scopes, account: result.account, forceRefresh: true });
  assert.notEqual(next.accessToken, result.accessToken);
  say("refresh", await found(caller(next.accessToken)));
}

// Somebody who may see the device, and no more.
async function byCode() {
  const result = await byDeviceCode();
  say("token", result.tokenType);
  say("who", result.account.username);
  say("list", await found(caller(result.accessToken)));
  const refused = await caller(result.accessToken)("POST", `/api/machines/${device}/collectInvestigationPackage`, { Comment: "alert 1234" });
  assert.equal(refused.status, 403);
  say("refused", refused.body.error.message);
}

await { code, device: byCode }[process.argv[2]]();
