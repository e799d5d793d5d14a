// Which methods of the SDK were called, and what became of them: docs/api.md is held against it.

// They only prepare the call that follows.
const BUILDERS = new Set(['Filter', 'Limit', 'Offset', 'Sort', 'With', 'TotalMethod']);

const outcomes = new Map();

function note(name, outcome) {
  if (!outcomes.has(name)) outcomes.set(name, new Set());
  outcomes.get(name).add(outcome);
}

/** The same object, whose methods are noted by name: `Orders.All`, `Cart.AddProduct`. */
export function watched(target, path = '') {
  const proxy = new Proxy(target, {
    get(object, member) {
      const value = object[member];
      const name = path ? `${path}.${String(member)}` : String(member);
      if (typeof value === 'function') {
        return (...args) => {
          const result = value.apply(object, args);
          if (result === object) return proxy;
          if (typeof result?.then !== 'function') return watched(result, name);
          result.then(() => note(name, 'answered'), () => note(name, 'refused'));
          return result;
        };
      }
      return value && typeof value === 'object' ? watched(value, name) : value;
    },
  });
  return proxy;
}

/** What became of the calls, and every method that the SDK has. */
export function report(sdk) {
  return {
    outcomes: Object.fromEntries([...outcomes].map(([name, seen]) => [name, [...seen].sort()])),
    all: [...methodsOf({ Authenticate: sdk.Authenticate }), ...endpoints(sdk)].sort(),
  };
}

function endpoints(parent, path = '') {
  const children = Object.entries({ ...parent, ...(path ? {} : { Cart: parent.Cart() }) });
  return children
    .filter(([name, child]) => /^[A-Z]/.test(name) && child && typeof child === 'object')
    .flatMap(([name, child]) => {
      const inside = path ? `${path}.${name}` : name;
      return [...methodsOf(child, inside), ...endpoints(child, inside)];
    });
}

function methodsOf(object, path = '') {
  const names = new Set();
  for (let level = object; level && level !== Object.prototype; ) {
    for (const name of Object.getOwnPropertyNames(level)) {
      const isMethod = typeof object[name] === 'function' && name !== 'constructor';
      if (isMethod && !BUILDERS.has(name)) names.add(path ? `${path}.${name}` : name);
    }
    level = Object.getPrototypeOf(level);
  }
  return [...names];
}
