type Whole = Date | Uint8Array | string | number | boolean | undefined;

/** A message of the protocol to send: every field may be left out, at every depth. */
export type Input<T> = T extends Whole
  ? T
  : T extends (infer Item)[]
    ? Input<Item>[]
    : T extends { $case: string; value: unknown }
      ? { $case: T["$case"]; value: Input<T["value"]> }
      : { [Key in keyof T]?: Input<T[Key]> };
