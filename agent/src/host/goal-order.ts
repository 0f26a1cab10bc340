/** Where a goal stands among the goals of its application: by generation, then by issue time. */
export interface GoalOrder {
  generation: number;
  /** Milliseconds since the epoch. */
  issueTimeMs: number;
}

/** Where a goal stands that was obeyed. */
export interface ObeyedOrder extends GoalOrder {
  /** Of the key that signed it; absent in what was written before that was noted. */
  keyId?: string | undefined;
}

/** Negative if `a` is older than `b`, 0 if they are the same goal, positive if it is newer. */
export function compareGoalOrder(a: GoalOrder, b: GoalOrder): number {
  return a.generation - b.generation || a.issueTimeMs - b.issueTimeMs;
}

/** The order of anything that carries a generation and an issue time. */
export function goalOrder(goal: { generation: number; issueTime: Date | undefined }): GoalOrder {
  return { generation: goal.generation, issueTimeMs: goal.issueTime?.getTime() ?? 0 };
}

/** Whether a goal's time is over: it is obeyed still, and somebody should hear of it. */
export function isStale({ expireTime }: { expireTime: Date | undefined }, now: number): boolean {
  return expireTime !== undefined && expireTime.getTime() <= now;
}
