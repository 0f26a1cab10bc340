import { createAccount, createOperator, encodeAccount, type Account } from "@nats-io/jwt";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { AccountError, lookUpAccount } from "../../src/nats-access/account-updates.js";

const test = suite("accounts that servers have");
const [operator, other] = [createOperator(), createOperator()];
const operatorKey = new TextDecoder().decode(operator.getSeed());
const [ours, theirs] = [createAccount().getPublicKey(), createAccount().getPublicKey()];
const claims: Partial<Account> = { revocations: { U: 1 } };

/** What comes of it when a server answers that. */
async function lookUp(answer: string): Promise<string> {
  const server = {
    request: () => Promise.resolve({ string: () => answer }),
    getServer: () => "nats-eu:4222",
  };
  try {
    const { name, claims: found } = await lookUpAccount(server as never, ours, operatorKey);
    assert.equal(found.revocations, claims.revocations);
    return name;
  } catch (error) {
    assert.instance(error, AccountError);
    return (error as Error).message;
  }
}

const sign = (account: string, by = operator): Promise<string> =>
  encodeAccount("hosts-eu", account, claims, { signer: by });

test("what the operator's key has signed is taken", async () => {
  assert.is(await lookUp(await sign(ours)), "hosts-eu");
});

test("what a server has made up is not, and so is never signed", async () => {
  const notOurs = /nats-eu:4222 has as account .*not by the operator's key of this coordinator/;
  assert.match(await lookUp(await sign(ours, other)), notOurs);
  assert.match(await lookUp(await sign(theirs)), notOurs);
  const [head, , signature] = (await sign(ours)).split(".");
  const [, body] = (await sign(ours, other)).split(".");
  const none = /is none that somebody has signed/;
  assert.match(await lookUp([head, body, signature].join(".")), none);
  assert.match(await lookUp("no token"), none);
});

test.run();
