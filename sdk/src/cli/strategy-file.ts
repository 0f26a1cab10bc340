import { durationFromMs, OnFailure, Promotion, type Strategy, type Wave } from "@slipway/proto";
import type { Input } from "../input.js";
import { readDocument, type FileNode } from "./file-node.js";
import { fileFaults, type FileText } from "./file-text.js";

/** What a strategy file says. */
export interface StrategyFile extends FileText {
  strategy: Input<Strategy>;
}

/** Reads a strategy, the value of `strategy` in an application file. */
export function readStrategy(node: FileNode): Input<Strategy> {
  const fields = node.fields([
    "waves",
    "maxSwitchingPercent",
    "failureBudget",
    "stageTimeout",
    "activateTimeout",
    "timeout",
    "promotion",
    "onFailure",
  ]);
  return {
    ...fields.optional("waves", (list) => ({
      waves: list.someItems("a list of waves").map(readWave),
    })),
    ...fields.optional("maxSwitchingPercent", (percent) => ({
      maxSwitchingPercent: percent.wholeNumber(1),
    })),
    ...fields.optional("failureBudget", (budget) => ({ failureBudget: readBudget(budget) })),
    ...fields.optional("stageTimeout", (time) => ({
      stageTimeout: durationFromMs(time.durationMs()),
    })),
    ...fields.optional("activateTimeout", (time) => ({
      activateTimeout: durationFromMs(time.durationMs()),
    })),
    ...fields.optional("timeout", (time) => ({ timeout: durationFromMs(time.durationMs()) })),
    ...fields.optional("promotion", (promotion) => ({
      promotion:
        promotion.oneOf({ automatic: Promotion.AUTOMATIC, manual: Promotion.MANUAL }) ??
        Promotion.UNSPECIFIED,
    })),
    ...fields.optional("onFailure", (choice) => ({
      onFailure:
        choice.oneOf({ rollBack: OnFailure.ROLL_BACK, stop: OnFailure.STOP }) ??
        OnFailure.UNSPECIFIED,
    })),
  };
}

/**
 * Reads a file that holds a strategy and nothing else: what stands below `strategy` in an
 * application file.
 * @throws UsageError that lists everything wrong with its form, by line.
 */
export function readStrategyFile(text: string, fileName: string): StrategyFile {
  const document = readDocument(text);
  const strategy = readStrategy(document.root);
  return {
    strategy,
    ...fileFaults(document, fileName, "a strategy", /^(create\.)?strategy(\.|$)/),
  };
}

function readWave(node: FileNode): Input<Wave> {
  const fields = node.fields(["regions", "percents", "bakeTime", "requiresApproval"]);
  return {
    regions: fields.required("regions").strings(),
    ...fields.optional("percents", (list) => ({
      percents: list
        .someItems("a list of percentages, such as [10, 100]")
        .map((one) => one.wholeNumber()),
    })),
    ...fields.optional("bakeTime", (time) => ({ bakeTime: durationFromMs(time.durationMs()) })),
    ...fields.optional("requiresApproval", (truth) => ({ requiresApproval: truth.boolean() })),
  };
}

function readBudget(node: FileNode): Input<Strategy["failureBudget"]> {
  const fields = node.fields(["failedPercent", "silentPercent"]);
  return {
    ...fields.optional("failedPercent", (percent) => ({ failedPercent: percent.wholeNumber() })),
    ...fields.optional("silentPercent", (percent) => ({ silentPercent: percent.wholeNumber() })),
  };
}
