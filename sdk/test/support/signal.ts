/** Something that a test waits for, with a deadline: never a sleep. */
export interface TestSignal<T> {
  readonly promise: Promise<T>;
  fire(value: T): void;
}

export function testSignal<T = void>(what: string, deadlineMs = 10_000): TestSignal<T> {
  let stop: (() => void) | undefined;
  let resolveIt: ((value: T) => void) | undefined;
  const promise = new Promise<T>((resolve, reject) => {
    resolveIt = resolve;
    const late = (): void => reject(new Error(`${what} did not happen in ${deadlineMs} ms`));
    const timer = setTimeout(late, deadlineMs);
    stop = () => clearTimeout(timer);
  });
  // Reported where it is awaited.
  promise.catch(() => undefined);
  return {
    promise,
    fire: (value) => {
      stop?.();
      resolveIt?.(value);
    },
  };
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
