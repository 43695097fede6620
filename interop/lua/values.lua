-- The values that are published. values/*.json in the directory above says what they
-- are.
local basexx = require("basexx")
local cjson = require("cjson")

-- Numbers of 64 bits are texts in JSON. So are doubles here where lua-cjson would
-- write fewer digits than they have.
local MAX_INT32, MIN_INT32, MAX_UINT32 = 2 ^ 31 - 1, -2 ^ 31, 2 ^ 32 - 1
local MAX_INT64, MIN_INT64 = "9223372036854775807", "-9223372036854775808"
local MAX_UINT64 = "18446744073709551615"

local full = {
  name = "full",
  email = "ada@example.com",
  doubleValue = 1.5,
  floatValue = -2.25,
  int32Value = -32,
  int64Value = "-64",
  uint32Value = 32,
  uint64Value = "64",
  sint32Value = -320,
  sint64Value = "-640",
  fixed32Value = 3200,
  fixed64Value = "6400",
  sfixed32Value = -3200,
  sfixed64Value = "-6400",
  boolValue = true,
  stringValue = "text",
  bytesValue = basexx.to_base64("\0\1\2\255"),
  colour = "COLOUR_GREEN",
  optionalNumber = 7,
  optionalText = "there",
  part = { label = "outer", count = 1, parts = { { label = "inner", count = 2 } } },
  numbers = { "1", "-2", "3" },
  texts = { "one", "two" },
  parts = { { label = "first" }, { label = "second", count = 2 } },
  colours = { "COLOUR_RED", "COLOUR_INFRARED" },
  textsByText = { a = "1", b = "2" },
  partsByNumber = { ["1"] = { label = "one" }, ["-1"] = { label = "minus one" } },
  numbersByTruth = { ["true"] = 1, ["false"] = 0 },
  chosenPart = { label = "chosen" },
  timestamp = "2026-11-22T12:34:56.789012345Z",
  duration = "-1.500s",
  wrappedNumber = "0",
  object = { list = { 1, "two", cjson.null, true }, nested = { key = "value" } },
  any = {
    ["@type"] = "type.googleapis.com/tidings.conformance.v1.Part",
    label = "any",
    count = 3,
  },
}

local maximal = {
  name = "max",
  doubleValue = "1.7976931348623157e308",
  floatValue = "3.4028235e38",
  int32Value = MAX_INT32,
  int64Value = MAX_INT64,
  uint32Value = MAX_UINT32,
  uint64Value = MAX_UINT64,
  sint32Value = MAX_INT32,
  sint64Value = MAX_INT64,
  fixed32Value = MAX_UINT32,
  fixed64Value = MAX_UINT64,
  sfixed32Value = MAX_INT32,
  sfixed64Value = MAX_INT64,
  optionalNumber = MAX_INT32,
  numbers = { MAX_INT64, "9007199254740993" },
  partsByNumber = { [MAX_INT64] = { label = "max", count = MAX_INT32 } },
  chosenNumber = MAX_INT64,
  timestamp = "9999-12-31T23:59:59.999999999Z",
  duration = "315576000000s",
  wrappedNumber = MAX_INT64,
}

local minimal = {
  name = "min",
  doubleValue = "5e-324",
  floatValue = "-3.4028235e38",
  int32Value = MIN_INT32,
  int64Value = MIN_INT64,
  sint32Value = MIN_INT32,
  sint64Value = MIN_INT64,
  sfixed32Value = MIN_INT32,
  sfixed64Value = MIN_INT64,
  optionalNumber = MIN_INT32,
  numbers = { MIN_INT64, "-9007199254740993" },
  partsByNumber = { [MIN_INT64] = { label = "min", count = MIN_INT32 } },
  chosenNumber = MIN_INT64,
  timestamp = "0001-01-01T00:00:00Z",
  duration = "-315576000000s",
  wrappedNumber = MIN_INT64,
}

-- What is there and empty.
local empty = {
  name = "empty",
  optionalNumber = 0,
  optionalText = "",
  part = {},
  parts = { {} },
  texts = { "" },
  chosenText = "",
  wrappedNumber = "0",
  object = {},
}

local unicode = {
  name = "unicode",
  stringValue = 'Grüße, 世界, עולם, 🌍, e\xcc\x81, "\\/\n',
  texts = { "🇪🇺", "\xef\xbb\xbf", "\xe2\x80\xa8", "👩\xe2\x80\x8d👩\xe2\x80\x8d👧" },
  textsByText = { ["ключ"] = "значение", ["鍵"] = "値" },
  chosenText = "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
  bytesValue = basexx.to_base64("ÿ🌍"),
}

-- Whether two values of JSON are the same. Doubles that are texts here are numbers in
-- what the server sends.
local function same(got, want)
  if type(got) == "number" and type(want) == "string" then
    return want:find("[.e]") ~= nil and got == tonumber(want)
  end
  if type(got) ~= "table" or type(want) ~= "table" then
    return got == want
  end
  for name, value in pairs(want) do
    if not same(got[name], value) then
      return false
    end
  end
  for name in pairs(got) do
    if want[name] == nil then
      return false
    end
  end
  return true
end

return { full = full, all = { full, maximal, minimal, empty, unicode }, same = same }
