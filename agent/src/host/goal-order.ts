/** Where a goal stands among the goals of its application: by generation, then by issue time. */
export interface GoalOrder {
  generation: number;
  /** Milliseconds since the epoch. */
  issueTimeMs: number;
}

/** Negative if `a` is older than `b`, 0 if they are the same goal, positive if it is newer. */
export function compareGoalOrder(a: GoalOrder, b: GoalOrder): number {
  return a.generation - b.generation || a.issueTimeMs - b.issueTimeMs;
}

/** The order of anything that carries a generation and an issue time. */
export function goalOrder(goal: { generation: number; issueTime: Date | undefined }): GoalOrder {
  return { generation: goal.generation, issueTimeMs: goal.issueTime?.getTime() ?? 0 };
}
