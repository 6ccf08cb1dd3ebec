// @azure/identity, with the pipeline of Azure's own clients: identity.mjs flow | identity.mjs defaults
import assert from "node:assert/strict";
import { bearerTokenAuthenticationPolicy, createDefaultHttpClient, createPipelineFromOptions, createPipelineRequest } from "@azure/core-rest-pipeline";
import { ClientAssertionCredential, ClientCertificateCredential, ClientSecretCredential } from "@azure/identity";
import { apiBase, assertion, authority, certificatePath, clientId, clientSecret, flow, found, say, tenantId, wrong } from "./flow.mjs";

function caller(credential) {
  const pipeline = createPipelineFromOptions({});
  pipeline.addPolicy(bearerTokenAuthenticationPolicy({ credential, scopes: `${apiBase}/.default` }));
  const http = createDefaultHttpClient();
  return async (method, path, body) => {
    const request = createPipelineRequest({ url: apiBase + path, method, body: body && JSON.stringify(body) });
    if (body) request.headers.set("Content-Type", "application/json");
    const answer = await pipeline.sendRequest(http, request);
    return { status: answer.status, body: JSON.parse(answer.bodyAsText) };
  };
}

async function whole() {
  // doc: secret
  const options = { authorityHost: apiBase, disableInstanceDiscovery: true };
  const credential = new ClientSecretCredential(tenantId, clientId, clientSecret, options);
  const { token } = await credential.getToken(`${apiBase}/.default`);
  // doc: end
  say("token", "Bearer");
  await flow(caller(credential));
  assert.equal((await credential.getToken(`${apiBase}/.default`)).token, token);
  say("reuse", true);

  // doc: certificate
  const byCertificate = new ClientCertificateCredential(tenantId, clientId, certificatePath, options);
  // doc: end
  say("PS256", await found(caller(byCertificate)));
  const chain = { ...options, sendCertificateChain: true };
  say("x5c", await found(caller(new ClientCertificateCredential(tenantId, clientId, certificatePath, chain))));
  const made = async () => assertion(`${authority}/oauth2/v2.0/token`);
  say("ES256", await found(caller(new ClientAssertionCredential(tenantId, clientId, made, options))));
  await wrong(new ClientSecretCredential(tenantId, clientId, "wrong", options).getToken(`${apiBase}/.default`));
}

// Every setting as it is by default, through the proxy of the environment.
async function defaults() {
  say("list", await found(caller(new ClientSecretCredential(tenantId, clientId, clientSecret, { authorityHost: new URL(authority).origin }))));
}

await { flow: whole, defaults }[process.argv[2]]();
