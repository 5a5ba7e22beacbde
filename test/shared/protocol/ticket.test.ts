import { createHmac } from "node:crypto";
import { expect, test } from "vitest";
import { signTicket, type Ticket, verifyTicket } from "../../../shared/protocol/ticket.ts";
import { signUsage, usageReportSchema, verifyUsage } from "../../../shared/protocol/usage-report.ts";
import { rejection } from "../../helpers/problem.ts";

const SECRET = "a secret of the provider's own";
const digest = "0a".repeat(32);
const ticket: Ticket = {
  v: 1,
  request: "q2w3e4r5t6y7u2i3o4p5",
  tenant: "aaaabbbbccccdddd",
  target: "gpt2-large",
  targetDigest: digest,
  prompt: { weights: "jobs/x/weights", manifest: "jobs/x/manifest", sha256: digest, manifestSha256: digest },
  endpoint: "chat/completions",
  maxTokens: 100,
  body: digest,
  expires: 1000,
};

test("a ticket is what was signed, and its signature is HMAC-SHA-256 of its payload", async () => {
  const text = await signTicket(ticket, SECRET);
  expect(await verifyTicket(text, SECRET, 999)).toEqual(ticket);
  const [payload, signature] = text.split(".");
  expect(JSON.parse(Buffer.from(payload!, "base64url").toString())).toEqual(ticket);
  expect(signature).toBe(createHmac("sha256", SECRET).update(payload!).digest("base64url"));
});

test("an expired one is refused", async () => {
  expect(await rejection(verifyTicket(await signTicket(ticket, SECRET), SECRET, 1000))).toMatch(/expired/);
});

test("one that was altered anywhere, or signed by somebody else, is refused", async () => {
  const text = await signTicket(ticket, SECRET);
  for (let at = 0; at < text.length; at += 1) {
    const other = `${text.slice(0, at)}${text[at] === "A" ? "Q" : "A"}${text.slice(at + 1)}`;
    expect(await rejection(verifyTicket(other, SECRET, 1))).toMatch(/ticket is refused/);
  }
  for (const other of ["", ".", `${text}.x`, `${text}A`, text.slice(0, -1), `${"A".repeat(5000)}.A`, "ü.ü"]) {
    expect(await rejection(verifyTicket(other, SECRET, 1))).toMatch(/ticket is refused/);
  }
  expect(await rejection(verifyTicket(text, "another", 1))).toMatch(/isn't signed/);
});

test("what is signed but no ticket is refused", async () => {
  const payload = Buffer.from(JSON.stringify({ ...ticket, v: 2 })).toString("base64url");
  const signature = createHmac("sha256", SECRET).update(payload).digest("base64url");
  expect(await rejection(verifyTicket(`${payload}.${signature}`, SECRET, 1))).toMatch(/another version/);
});

test("a usage report is accepted as it was signed, for five minutes", async () => {
  const body = JSON.stringify({
    records: [{ request: ticket.request, tenant: ticket.tenant, promptTokens: 3, completionTokens: 0 }],
  });
  expect(usageReportSchema.parse(JSON.parse(body)).records).toHaveLength(1);
  const signature = await signUsage(body, 1000, SECRET);
  expect(signature).toBe(createHmac("sha256", SECRET).update(`1000.${body}`).digest("hex"));
  const headers = { timestamp: "1000", signature };
  await verifyUsage(body, headers, SECRET, 1300);
  expect(await rejection(verifyUsage(body, headers, SECRET, 1301))).toMatch(/time/);
  expect(await rejection(verifyUsage(`${body} `, headers, SECRET, 1000))).toMatch(/signature/);
  expect(await rejection(verifyUsage(body, { ...headers, timestamp: "1001" }, SECRET, 1000))).toMatch(/signature/);
  expect(await rejection(verifyUsage(body, { ...headers, signature: undefined }, SECRET, 1000))).toMatch(/signature/);
});
