// uvu swallows an error that a suite's `before` or `after` throws. Preloaded into each test
// process, this puts itself in uvu's place and prints it.
import { register } from "node:module";
import * as uvu from "uvu";

register(`data:text/javascript,${encodeURIComponent(hook(import.meta.url))}`);

export const suite = (...args) => withHooksThatTell(uvu.suite(...args));
export const test = withHooksThatTell(uvu.test);

function withHooksThatTell(test) {
  for (const when of ["before", "after"]) {
    const add = test[when];
    test[when] = Object.assign((work) => add(telling(when, work)), add);
  }
  return test;
}

function telling(when, work) {
  return async (context) => {
    try {
      await work(context);
    } catch (error) {
      console.error(`\nthe suite's ${when} failed:`, error);
      throw error;
    }
  };
}

function hook(wrapper) {
  return `export const resolve = (specifier, context, next) =>
    specifier === "uvu" && context.parentURL !== ${JSON.stringify(wrapper)}
      ? { url: ${JSON.stringify(wrapper)}, shortCircuit: true }
      : next(specifier, context);`;
}
