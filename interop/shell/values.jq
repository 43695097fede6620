# The values that are published. values/*.json in the directory above says what they
# are. Integers of 64 bits are strings in protobuf's JSON: numbers there are floats.

def int32: {min: -2147483648, max: 2147483647};
def int64: {min: "-9223372036854775808", max: "9223372036854775807"};
def uint32_max: 4294967295;
def uint64_max: "18446744073709551615";
def float_max: 3.4028235e38;

def full: {
  name: "full", email: "ada@example.com",
  doubleValue: 1.5, floatValue: -2.25,
  int32Value: -32, int64Value: "-64", uint32Value: 32, uint64Value: "64",
  sint32Value: -320, sint64Value: "-640",
  fixed32Value: 3200, fixed64Value: "6400", sfixed32Value: -3200, sfixed64Value: "-6400",
  boolValue: true, stringValue: "text", bytesValue: "AAEC/w==",
  colour: "COLOUR_GREEN",
  optionalNumber: 7, optionalText: "there",
  part: {label: "outer", count: 1, parts: [{label: "inner", count: 2}]},
  numbers: ["1", "-2", "3"], texts: ["one", "two"],
  parts: [{label: "first"}, {label: "second", count: 2}],
  colours: ["COLOUR_RED", "COLOUR_INFRARED"],
  textsByText: {a: "1", b: "2"},
  partsByNumber: {"1": {label: "one"}, "-1": {label: "minus one"}},
  numbersByTruth: {"true": 1, "false": 0},
  chosenPart: {label: "chosen"},
  timestamp: "2026-11-22T12:34:56.789012345Z",
  duration: "-1.500s",
  wrappedNumber: "0",
  object: {list: [1, "two", null, true], nested: {key: "value"}},
  any: {"@type": "type.googleapis.com/tidings.conformance.v1.Part", label: "any", count: 3}
};

def max: {
  name: "max",
  doubleValue: 1.7976931348623157e308, floatValue: float_max,
  int32Value: int32.max, int64Value: int64.max, uint32Value: uint32_max, uint64Value: uint64_max,
  sint32Value: int32.max, sint64Value: int64.max,
  fixed32Value: uint32_max, fixed64Value: uint64_max, sfixed32Value: int32.max, sfixed64Value: int64.max,
  optionalNumber: int32.max,
  numbers: [int64.max, "9007199254740993"],
  partsByNumber: {(int64.max): {label: "max", count: int32.max}},
  chosenNumber: int64.max,
  timestamp: "9999-12-31T23:59:59.999999999Z",
  duration: "315576000000s",
  wrappedNumber: int64.max
};

def min: {
  name: "min",
  doubleValue: 5e-324, floatValue: -float_max,
  int32Value: int32.min, int64Value: int64.min, sint32Value: int32.min, sint64Value: int64.min,
  sfixed32Value: int32.min, sfixed64Value: int64.min,
  optionalNumber: int32.min,
  numbers: [int64.min, "-9007199254740993"],
  partsByNumber: {(int64.min): {label: "min", count: int32.min}},
  chosenNumber: int64.min,
  timestamp: "0001-01-01T00:00:00Z",
  duration: "-315576000000s",
  wrappedNumber: int64.min
};

# What is there and empty.
def empty_value: {
  name: "empty",
  optionalNumber: 0, optionalText: "",
  part: {}, parts: [{}], texts: [""],
  chosenText: "",
  wrappedNumber: "0",
  object: {}
};

def unicode: {
  name: "unicode",
  stringValue: "Grüße, 世界, עולם, 🌍, e\u0301, \"\\/\n",
  texts: ["🇪🇺", "\ufeff", "\u2028", "👩\u200d👩\u200d👧"],
  textsByText: {"ключ": "значение", "鍵": "値"},
  chosenText: "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
  bytesValue: "w7/wn4yN"
};

# All of them, in the order in which they are published.
def values: [full, max, min, empty_value, unicode];

# A value as the data of an event.
def data: {"@type": "type.googleapis.com/tidings.conformance.v1.EveryKind"} + .;

# A value as an event.
def event($id): {id: $id, source: "/interop", data: data};
