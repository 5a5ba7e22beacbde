import { expect, test } from "vitest";
import { isPublic } from "../../edge/webhooks/address.ts";

test.each([
  ...[
    "10.1.2.3",
    "127.0.0.1",
    "0.0.0.0",
    "100.64.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
  ],
  ...["198.18.0.1", "224.0.0.1", "255.255.255.255", "192.0.0.1", "192.0.2.1", "203.0.113.1", "240.0.0.1"],
  ...[
    "::1",
    "::",
    "fc00::1",
    "fd12::1",
    "fe80::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::a00:1",
    "2002:a00:1::",
    "2001:db8::1",
  ],
  ...["", "no address"],
])("%s is no public address", (address) => {
  expect(isPublic(address)).toBe(false);
});

test.each(["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700:4700::1111"])("%s is one", (address) => {
  expect(isPublic(address)).toBe(true);
});
