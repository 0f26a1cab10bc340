/** Something that a test waits for, with a deadline: never a sleep. */
export interface TestSignal<T> {
  readonly promise: Promise<T>;
  fire(value: T): void;
}

export function testSignal<T = void>(what: string, deadlineMs = 10_000): TestSignal<T> {
  let fire: (value: T) => void = () => undefined;
  const promise = new Promise<T>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`${what} did not happen in ${deadlineMs} ms`)),
      deadlineMs,
    );
    fire = (value) => {
      clearTimeout(timer);
      resolve(value);
    };
  });
  // Reported where it is awaited.
  promise.catch(() => undefined);
  return { promise, fire: (value) => fire(value) };
}

/** The error that a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it did not reject");
}

/** Reads an iteration to its end. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
