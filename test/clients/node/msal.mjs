// @azure/msal-node: msal.mjs flow | msal.mjs defaults
import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { ConfidentialClientApplication } from "@azure/msal-node";
import { EnvHttpProxyAgent, setGlobalDispatcher } from "undici";
import { apiBase, assertion, authority, certificatePath, clientId, clientSecret, flow, found, say, thumbprint, wrong } from "./flow.mjs";

const caller = (token) => async (method, path, body) => {
  const answer = await fetch(apiBase + path, {
    method, body: body && JSON.stringify(body),
    headers: { Authorization: `Bearer ${token}`, ...(body && { "Content-Type": "application/json" }) },
  });
  return { status: answer.status, body: await answer.json() };
};

async function whole() {
  // doc: secret
  const app = new ConfidentialClientApplication({
    auth: { clientId, clientSecret, authority, knownAuthorities: [new URL(authority).host] },
  });
  const result = await app.acquireTokenByClientCredential({ scopes: [`${apiBase}/.default`] });
  // doc: end
  say("token", result.tokenType);
  await flow(caller(result.accessToken));
  const again = await app.acquireTokenByClientCredential({ scopes: [`${apiBase}/.default`] });
  assert.equal(again.accessToken, result.accessToken);
  say("reuse", again.fromCache);

  // doc: certificate
  const pem = readFileSync(certificatePath, "utf8"); // certificate and private key
  const thumbprintSha256 = createHash("sha256").update(new X509Certificate(pem).raw).digest("hex");
  const clientCertificate = { thumbprintSha256, privateKey: pem };
  const byCertificate = new ConfidentialClientApplication({
    auth: { clientId, clientCertificate, authority, knownAuthorities: [new URL(authority).host] },
  });
  // doc: end
  await signIn("PS256", byCertificate);
  await signIn("RS256", by({ clientCertificate: { thumbprint: thumbprint(pem, "sha1"), privateKey: pem } }));
  await signIn("x5c", by({ clientCertificate: { ...clientCertificate, x5c: pem } }));
  await signIn("ES256", by({ clientAssertion: async ({ tokenEndpoint }) => assertion(tokenEndpoint) }));
  await wrong(by({ clientSecret: "wrong" }).acquireTokenByClientCredential({ scopes: [`${apiBase}/.default`] }));
}

const by = (credential) =>
  new ConfidentialClientApplication({ auth: { clientId, ...credential, authority, knownAuthorities: [new URL(authority).host] } });

async function signIn(step, app) {
  const { accessToken } = await app.acquireTokenByClientCredential({ scopes: [`${apiBase}/.default`] });
  say(step, await found(caller(accessToken)));
}

// Every setting as it is by default, through the proxy of the environment.
async function defaults() {
  setGlobalDispatcher(new EnvHttpProxyAgent());
  const app = new ConfidentialClientApplication({ auth: { clientId, clientSecret, authority } });
  const { accessToken } = await app.acquireTokenByClientCredential({ scopes: [`${apiBase}/.default`] });
  say("list", await found(caller(accessToken)));
}

await { flow: whole, defaults }[process.argv[2]]();
