// The types of numbers that the format safetensors knows, and the arrays that hold them.

/** What holds the numbers of a tensor. A Float16Array too, where the runtime has it. */
export type TensorData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array;

/** The types of numbers, as the format names them. */
export type TensorDtype =
  | "BOOL"
  | "U8"
  | "I8"
  | "F8_E4M3"
  | "F8_E5M2"
  | "F8_E8M0"
  | "I16"
  | "U16"
  | "F16"
  | "BF16"
  | "I32"
  | "U32"
  | "F32"
  | "F64"
  | "I64"
  | "U64";

/** An array type. */
interface ArrayType {
  new (buffer: ArrayBuffer, offsetBytes: number, length: number): TensorData;
  readonly BYTES_PER_ELEMENT: number;
  readonly name: string;
}

/** A type of numbers. */
interface Dtype {
  /** Size of one. */
  readonly sizeBytes: number;
  /** Names of the array types that can be saved as it; the first is its own. */
  readonly arrays: readonly string[];
  /** An array of it that looks at bytes of a buffer. */
  viewOf(buffer: ArrayBuffer, offsetBytes: number, lengthBytes: number): TensorData;
}

function dtype(...types: readonly [ArrayType, ...ArrayType[]]): Dtype {
  const [type] = types;
  const sizeBytes = type.BYTES_PER_ELEMENT;
  return {
    sizeBytes,
    arrays: types.map(({ name }) => name),
    viewOf: (buffer, offsetBytes, lengthBytes) => new type(buffer, offsetBytes, lengthBytes / sizeBytes),
  };
}

const { Float16Array } = globalThis as unknown as { readonly Float16Array?: ArrayType };

/** All types, by their names in the format. */
export const DTYPES: Readonly<Record<TensorDtype, Dtype>> = {
  BOOL: dtype(Uint8Array),
  U8: dtype(Uint8Array),
  I8: dtype(Int8Array),
  F8_E4M3: dtype(Uint8Array),
  F8_E5M2: dtype(Uint8Array),
  F8_E8M0: dtype(Uint8Array),
  I16: dtype(Int16Array),
  U16: dtype(Uint16Array),
  F16: Float16Array === undefined ? dtype(Uint16Array) : dtype(Float16Array, Uint16Array),
  BF16: dtype(Uint16Array),
  I32: dtype(Int32Array),
  U32: dtype(Uint32Array),
  F32: dtype(Float32Array),
  F64: dtype(Float64Array),
  I64: dtype(BigInt64Array),
  U64: dtype(BigUint64Array),
};

const BY_ARRAY: ReadonlyMap<string, TensorDtype> = new Map([
  ["Uint8Array", "U8"],
  ["Int8Array", "I8"],
  ["Int16Array", "I16"],
  ["Uint16Array", "U16"],
  ["Float16Array", "F16"],
  ["Int32Array", "I32"],
  ["Uint32Array", "U32"],
  ["Float32Array", "F32"],
  ["Float64Array", "F64"],
  ["BigInt64Array", "I64"],
  ["BigUint64Array", "U64"],
]);

const kindOf = (data: unknown): string => Object.prototype.toString.call(data).slice("[object ".length, -1);

/** The type of an array's numbers; `undefined` for what is no array that the format knows. */
export function dtypeOf(data: unknown): TensorDtype | undefined {
  return ArrayBuffer.isView(data) ? BY_ARRAY.get(kindOf(data)) : undefined;
}

/** Why an array cannot hold numbers of a type; `undefined` if it can. */
export function dtypeFault(name: unknown, data: unknown): string | undefined {
  if (typeof name !== "string" || !Object.hasOwn(DTYPES, name)) return `the dtype ${String(name)} is unknown`;
  const { arrays } = DTYPES[name as TensorDtype];
  if (ArrayBuffer.isView(data) && arrays.includes(kindOf(data))) return undefined;
  return `the dtype ${name} needs its data in a ${arrays.join(" or ")}, not a ${kindOf(data)}`;
}
