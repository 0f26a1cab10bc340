import { Option } from "commander";

/** An option that may also come from SLIPWAY_<NAME>. */
export function option(flags: string, description: string): Option {
  const created = new Option(flags, description);
  return created.env(`SLIPWAY_${created.name().toUpperCase().replaceAll("-", "_")}`);
}
