import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Colour, EveryKindSchema, PartSchema } from "@example/tidings/conformance/v1";

const maxFloat = (2 - 2 ** -23) * 2 ** 127;
const maxInt32 = 2 ** 31 - 1;
const minInt32 = -(2 ** 31);
const maxUint32 = 2 ** 32 - 1;
const maxInt64 = 2n ** 63n - 1n;
const minInt64 = -(2n ** 63n);
const maxUint64 = 2n ** 64n - 1n;

/** The seconds since 1970 of an instant. */
function seconds(instant) {
  return BigInt(Date.parse(instant) / 1000);
}

export function full() {
  return create(EveryKindSchema, {
    name: "full",
    email: "ada@example.com",
    doubleValue: 1.5,
    floatValue: -2.25,
    int32Value: -32,
    int64Value: -64n,
    uint32Value: 32,
    uint64Value: 64n,
    sint32Value: -320,
    sint64Value: -640n,
    fixed32Value: 3200,
    fixed64Value: 6400n,
    sfixed32Value: -3200,
    sfixed64Value: -6400n,
    boolValue: true,
    stringValue: "text",
    bytesValue: Uint8Array.of(0, 1, 2, 255),
    colour: Colour.GREEN,
    optionalNumber: 7,
    optionalText: "there",
    part: { label: "outer", count: 1, parts: [{ label: "inner", count: 2 }] },
    numbers: [1n, -2n, 3n],
    texts: ["one", "two"],
    parts: [{ label: "first" }, { label: "second", count: 2 }],
    colours: [Colour.RED, Colour.INFRARED],
    textsByText: { a: "1", b: "2" },
    partsByNumber: { 1: { label: "one" }, "-1": { label: "minus one" } },
    numbersByTruth: { true: 1, false: 0 },
    choice: { case: "chosenPart", value: { label: "chosen" } },
    timestamp: { seconds: seconds("2026-11-22T12:34:56Z"), nanos: 789_012_345 },
    duration: { seconds: -1n, nanos: -500_000_000 },
    wrappedNumber: 0n,
    object: { list: [1, "two", null, true], nested: { key: "value" } },
    any: anyPack(PartSchema, create(PartSchema, { label: "any", count: 3 })),
  });
}

function max() {
  return create(EveryKindSchema, {
    name: "max",
    doubleValue: Number.MAX_VALUE,
    floatValue: maxFloat,
    int32Value: maxInt32,
    int64Value: maxInt64,
    uint32Value: maxUint32,
    uint64Value: maxUint64,
    sint32Value: maxInt32,
    sint64Value: maxInt64,
    fixed32Value: maxUint32,
    fixed64Value: maxUint64,
    sfixed32Value: maxInt32,
    sfixed64Value: maxInt64,
    optionalNumber: maxInt32,
    numbers: [maxInt64, 2n ** 53n + 1n],
    partsByNumber: { [`${maxInt64}`]: { label: "max", count: maxInt32 } },
    choice: { case: "chosenNumber", value: maxInt64 },
    timestamp: { seconds: seconds("9999-12-31T23:59:59Z"), nanos: 999_999_999 },
    duration: { seconds: 315_576_000_000n },
    wrappedNumber: maxInt64,
  });
}

function min() {
  return create(EveryKindSchema, {
    name: "min",
    doubleValue: Number.MIN_VALUE,
    floatValue: -maxFloat,
    int32Value: minInt32,
    int64Value: minInt64,
    sint32Value: minInt32,
    sint64Value: minInt64,
    sfixed32Value: minInt32,
    sfixed64Value: minInt64,
    optionalNumber: minInt32,
    numbers: [minInt64, -(2n ** 53n) - 1n],
    partsByNumber: { [`${minInt64}`]: { label: "min", count: minInt32 } },
    choice: { case: "chosenNumber", value: minInt64 },
    timestamp: { seconds: seconds("0001-01-01T00:00:00Z") },
    duration: { seconds: -315_576_000_000n },
    wrappedNumber: minInt64,
  });
}

/** Has what is there and empty. */
function empty() {
  return create(EveryKindSchema, {
    name: "empty",
    optionalNumber: 0,
    optionalText: "",
    part: {},
    parts: [{}],
    texts: [""],
    choice: { case: "chosenText", value: "" },
    wrappedNumber: 0n,
    object: {},
  });
}

function unicode() {
  return create(EveryKindSchema, {
    name: "unicode",
    stringValue: 'Grüße, 世界, עולם, 🌍, e\u0301, "\\/\n',
    texts: ["🇪🇺", "\ufeff", "\u2028", "👩\u200d👩\u200d👧"],
    textsByText: { ключ: "значение", 鍵: "値" },
    choice: { case: "chosenText", value: "𝔘𝔫𝔦𝔠𝔬𝔡𝔢" },
    bytesValue: Uint8Array.of(0xc3, 0xbf, 0xf0, 0x9f, 0x8c, 0x8d),
  });
}

/** The values that are published, in order; values/*.json says what they are. */
export function values() {
  return [full(), max(), min(), empty(), unicode()];
}
