## The values that are published, as protobuf's JSON. values/*.json in the directory
## above says what they are. Integers of 64 bits are strings there.

import std/json

const
  maxFloat32 = 3.4028235e38 # In its shortest form, which is rounded to it.
  maxInt64 = $high(int64)
  minInt64 = $low(int64)

let full* = %*{
  "name": "full",
  "email": "ada@example.com",
  "doubleValue": 1.5,
  "floatValue": -2.25,
  "int32Value": -32,
  "int64Value": "-64",
  "uint32Value": 32,
  "uint64Value": "64",
  "sint32Value": -320,
  "sint64Value": "-640",
  "fixed32Value": 3200,
  "fixed64Value": "6400",
  "sfixed32Value": -3200,
  "sfixed64Value": "-6400",
  "boolValue": true,
  "stringValue": "text",
  "bytesValue": "AAEC/w==",
  "colour": "COLOUR_GREEN",
  "optionalNumber": 7,
  "optionalText": "there",
  "part": {"label": "outer", "count": 1, "parts": [{"label": "inner", "count": 2}]},
  "numbers": ["1", "-2", "3"],
  "texts": ["one", "two"],
  "parts": [{"label": "first"}, {"label": "second", "count": 2}],
  "colours": ["COLOUR_RED", "COLOUR_INFRARED"],
  "textsByText": {"a": "1", "b": "2"},
  "partsByNumber": {"1": {"label": "one"}, "-1": {"label": "minus one"}},
  "numbersByTruth": {"true": 1, "false": 0},
  "chosenPart": {"label": "chosen"},
  "timestamp": "2026-11-22T12:34:56.789012345Z",
  "duration": "-1.500s",
  "wrappedNumber": "0",
  "object": {"list": [1, "two", nil, true], "nested": {"key": "value"}},
  "any": {
    "@type": "type.googleapis.com/tidings.conformance.v1.Part",
    "label": "any",
    "count": 3
  }
}

let maximal = %*{
  "name": "max",
  "doubleValue": 1.7976931348623157e308,
  "floatValue": maxFloat32,
  "int32Value": high(int32),
  "int64Value": maxInt64,
  "uint32Value": high(uint32),
  "uint64Value": $high(uint64),
  "sint32Value": high(int32),
  "sint64Value": maxInt64,
  "fixed32Value": high(uint32),
  "fixed64Value": $high(uint64),
  "sfixed32Value": high(int32),
  "sfixed64Value": maxInt64,
  "optionalNumber": high(int32),
  "numbers": [maxInt64, "9007199254740993"],
  "partsByNumber": {"9223372036854775807": {"label": "max", "count": high(int32)}},
  "chosenNumber": maxInt64,
  "timestamp": "9999-12-31T23:59:59.999999999Z",
  "duration": "315576000000s",
  "wrappedNumber": maxInt64
}

let minimal = %*{
  "name": "min",
  "doubleValue": 5e-324,
  "floatValue": -maxFloat32,
  "int32Value": low(int32),
  "int64Value": minInt64,
  "sint32Value": low(int32),
  "sint64Value": minInt64,
  "sfixed32Value": low(int32),
  "sfixed64Value": minInt64,
  "optionalNumber": low(int32),
  "numbers": [minInt64, "-9007199254740993"],
  "partsByNumber": {"-9223372036854775808": {"label": "min", "count": low(int32)}},
  "chosenNumber": minInt64,
  "timestamp": "0001-01-01T00:00:00Z",
  "duration": "-315576000000s",
  "wrappedNumber": minInt64
}

let empty = %*{ # What is there and empty.
  "name": "empty",
  "optionalNumber": 0,
  "optionalText": "",
  "part": {},
  "parts": [{}],
  "texts": [""],
  "chosenText": "",
  "wrappedNumber": "0",
  "object": {}
}

let unicode = %*{
  "name": "unicode",
  "stringValue": "Grüße, 世界, עולם, 🌍, e\u0301, \"\\/\n",
  "texts": ["🇪🇺", "\ufeff", "\u2028", "👩\u200d👩\u200d👧"],
  "textsByText": {"ключ": "значение", "鍵": "値"},
  "chosenText": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
  "bytesValue": "w7/wn4yN"
}

proc packed*(value: JsonNode): JsonNode =
  ## A value as the `data` of an event: a google.protobuf.Any.
  result = value.copy
  result["@type"] = %"type.googleapis.com/tidings.conformance.v1.EveryKind"

let allValues* = @[full, maximal, minimal, empty, unicode]
  ## All values, in the order in which they are published.
