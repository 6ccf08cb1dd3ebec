// What every Node client of the test does with a token: the calls of a SOAR
// connector, from the list of machines to the package. Each step is printed as
// one line, its name and what was seen; whatever is not as the contract says
// ends the program.
import assert from "node:assert/strict";
import { createHash, createSign, randomUUID, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

/** What the test hands over. */
export const { SWAB_API: apiBase, SWAB_AUTHORITY: authority, SWAB_TENANT: tenantId, SWAB_CLIENT_ID: clientId,
  SWAB_CLIENT_SECRET: clientSecret, SWAB_CERTIFICATE: certificatePath, SWAB_EC_CERTIFICATE: ecCertificatePath,
  SWAB_NAME: name, SWAB_DEVICE: device, SWAB_AWAY: away } = process.env;

export const say = (step, seen) => console.log(`${step}\t${seen}`);

/** The hash by which a certificate is named, in hex. */
export const thumbprint = (pem, algorithm) => createHash(algorithm).update(new X509Certificate(pem).raw).digest("hex");

/** An assertion signed with ES256, for libraries that take one ready made. */
export function assertion(audience) {
  const pem = readFileSync(ecCertificatePath, "utf8");
  const now = Math.floor(Date.now() / 1000);
  const part = (v) => Buffer.from(JSON.stringify(v)).toString("base64url");
  const signed = part({ alg: "ES256", typ: "JWT", "x5t#S256": Buffer.from(thumbprint(pem, "sha256"), "hex").toString("base64url") }) + "." +
    part({ aud: audience, iss: clientId, sub: clientId, jti: randomUUID(), nbf: now, exp: now + 300 });
  const signature = createSign("sha256").update(signed).sign({ key: pem, dsaEncoding: "ieee-p1363" });
  return `${signed}.${signature.toString("base64url")}`;
}

/** call(method, path, body) → {status, body, location}; a list by the name that the device has. */
export async function found(call) {
  const { status, body } = await call("GET", `/api/machines?$filter=computerDnsName+eq+'${name}'`);
  assert.equal(status, 200);
  assert.ok(body.value.some((m) => m.id === device), "the device is in the list");
  return "found";
}

/** A sign-in with a wrong secret fails with the reason that the server gave. */
export async function wrong(signIn) {
  await assert.rejects(signIn, /Invalid client secret provided/);
  say("wrong-secret", "told");
}

export async function flow(call) {
  say("list", await found(call));
  const machine = await call("GET", `/api/machines/${device}`);
  assert.equal(machine.status, 200);
  assert.equal(machine.body.computerDnsName, name);
  say("machine", machine.body.onboardingStatus);

  const comment = { Comment: "Collect forensics due to alert 1234" };
  const asked = await call("POST", `/api/machines/${device}/collectInvestigationPackage`, comment);
  assert.equal(asked.status, 201);
  say("collect", asked.body.id);
  let action = asked.body;
  for (const end = Date.now() + 60_000; ["Pending", "InProgress"].includes(action.status) && Date.now() < end;) {
    await pause(700);
    ({ body: action } = await call("GET", `/api/machineactions/${action.id}`));
  }
  say("poll", action.status);

  const link = await call("GET", `/api/machineactions/${action.id}/getPackageUri`);
  assert.equal(link.status, 200);
  say("link", new URL(link.body.value).origin);
  const answer = await fetch(link.body.value);
  assert.equal(answer.status, 200);
  const sum = createHash("sha256").update(new Uint8Array(await answer.arrayBuffer())).digest();
  assert.equal(answer.headers.get("etag"), `"${sum.toString("hex")}"`);
  assert.equal(answer.headers.get("repr-digest"), `sha-256=:${sum.toString("base64")}:`);
  say("download", sum.toString("hex"));

  const pending = await call("POST", `/api/machines/${away}/collectInvestigationPackage`, comment);
  assert.equal(pending.status, 201);
  const second = await call("POST", `/api/machines/${away}/collectInvestigationPackage`, comment);
  assert.equal(second.status, 400);
  assert.equal(second.body.error.message, "Action is already in progress");
  say("second", second.body.error.code);
  const cancelled = await call("POST", `/api/machineactions/${pending.body.id}/cancel`, { Comment: "no longer needed" });
  assert.equal(cancelled.status, 200);
  assert.equal(cancelled.body.status, "Cancelled");
  say("cancel", pending.body.id);
}
