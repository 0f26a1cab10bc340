import type {
  BuilderCommandConfig,
  HostConfig,
  IdentityConfig,
  LaunchConfig,
  RegionConfig,
} from "../config.js";

/** What a command line asks for. */
export interface Commands {
  builder(config: BuilderCommandConfig): Promise<void>;
  region(config: RegionConfig): Promise<void>;
  host(config: HostConfig): Promise<void>;
  launch(config: LaunchConfig): Promise<void>;
  identity(config: IdentityConfig): Promise<void>;
}
