export { NatsLink } from "../nats/link.js";
export { compareGoalOrder, goalOrder, type GoalOrder } from "./goal-order.js";
export { GoalFollower } from "./goal-follower.js";
export { goalKeyId, readGoalKeys, verifyGoal } from "./verify-goal.js";
