// Errors as plain data, and back: class, message, cause and what the program gave them. Their stacks tell of a run that is over, in
// words that differ by runtime, and are left out.

/** The classes of errors that every runtime has. */
const ERROR_CLASSES: readonly ErrorConstructor[] = [
  Error,
  AggregateError as unknown as ErrorConstructor,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
];

// What some runtimes add to say where an error was made, such as line and column, is not enumerable.
const KNOWN = new Set(["message", "cause", "errors", "stack"]);

/** An error as data. */
interface ErrorData {
  readonly class: string;
  readonly message: string;
  readonly name?: unknown;
  readonly cause?: unknown;
  readonly errors?: unknown;
  readonly properties?: Readonly<Record<string, unknown>>;
}

const PROTOTYPES = new Set<unknown>(ERROR_CLASSES.map(({ prototype }) => prototype));

/** Whether a prototype is that of an error of one of the classes; of a subclass it is not. */
export function isErrorPrototype(prototype: unknown): boolean {
  return PROTOTYPES.has(prototype);
}

/**
 * An error of one of the classes as data.
 *
 * @param error The error.
 * @param read Reads one of its properties.
 */
export function errorData(error: Error, read: (name: string) => unknown): ErrorData {
  const prototype: unknown = Object.getPrototypeOf(error);
  const type = ERROR_CLASSES.find((each) => each.prototype === prototype) ?? Error;
  const names = Object.keys(error).filter((name) => !KNOWN.has(name));
  const own = (name: string) => Object.hasOwn(error, name) && !names.includes(name) ? { [name]: read(name) } : {};
  const properties = Object.fromEntries(names.map((name) => [name, read(name)]));
  return {
    class: type.name,
    message: error.message,
    ...own("name"),
    ...own("cause"),
    ...own("errors"),
    ...names.length > 0 ? { properties } : {},
  };
}

/**
 * An error out of data.
 *
 * @throws {TypeError} If that is not what {@link errorData} makes.
 */
export function errorOf(data: unknown): Error {
  if (typeof data !== "object" || data === null) throw new TypeError("the data of an error is not an object");
  const own = (name: string): unknown => Object.hasOwn(data, name) ? Reflect.get(data, name) : undefined;
  const type = ERROR_CLASSES.find(({ name }) => name === own("class"));
  const message = own("message");
  const properties = own("properties") ?? {};
  if (type === undefined || typeof message !== "string" || typeof properties !== "object") {
    throw new TypeError("the data of an error is not what a save writes");
  }
  const error = Reflect.construct(type, (type as unknown) === AggregateError ? [[], message] : [message]) as Error;
  const define = (name: string, value: unknown, enumerable = false) =>
    Object.defineProperty(error, name, { value, enumerable, writable: true, configurable: true });
  for (const name of ["name", "cause", "errors"]) if (Object.hasOwn(data, name)) define(name, own(name));
  for (const [name, value] of Object.entries(properties)) define(name, value, true);
  define("stack", `${error.name}: ${message}`);
  return error;
}
