import { pino } from "pino";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { RevocationPublisher } from "../../src/goal/revocation-publisher.js";

type Options = ConstructorParameters<typeof RevocationPublisher>[0];

/** One that publishes when it is let. */
class Held extends RevocationPublisher {
  begun = 0;
  readonly #ends: (() => void)[] = [];

  override async publish(): Promise<number> {
    this.begun += 1;
    await new Promise<void>((resolve) => this.#ends.push(resolve));
    return 0;
  }

  /** Ends what is under way, and all that comes of it. */
  async finish(): Promise<void> {
    for (;;) {
      for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
      const end = this.#ends.pop();
      if (end === undefined) return;
      end();
    }
  }
}

test("many hosts decommissioned at once are published once more than the first, not each", async () => {
  const publisher = new Held({ log: pino({ level: "silent" }) } as Options);
  for (let host = 0; host < 1_000; host += 1) publisher.publishSoon();
  await publisher.finish();
  assert.ok(publisher.begun >= 1 && publisher.begun <= 2, String(publisher.begun));
  publisher.publishSoon();
  const before = publisher.begun;
  await publisher.finish();
  assert.is(publisher.begun, before + 1);
});

test.run();
