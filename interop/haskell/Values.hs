{-# LANGUAGE OverloadedStrings #-}

-- | The values that are published, as protobuf's JSON. values/*.json in the directory
-- above says what they are. Integers of 64 bits are strings there.
module Values (values, full, anyOf) where

import Data.Aeson (Value (..), object, (.=))
import Data.Aeson.Types (Pair)
import Data.Int (Int32)
import Data.Text (Text)

-- | All values with their names, in the order in which they are published.
values :: [(Text, Value)]
values =
  [ (name, anyOf value)
    | (name, value) <-
        [ ("full", full),
          ("max", maximal),
          ("min", minimal),
          ("empty", empty),
          ("unicode", unicode)
        ]
  ]

-- | A value as the @data@ of an event: a google.protobuf.Any.
anyOf :: [Pair] -> Value
anyOf value = object ("@type" .= text "type.googleapis.com/tidings.conformance.v1.EveryKind" : value)

-- The types of literals.

text :: Text -> Text
text = id

number :: Int32 -> Int32
number = id

texts :: [Text] -> [Text]
texts = id

part :: [Pair] -> Value
part = object

full :: [Pair]
full =
  [ "name" .= text "full",
    "email" .= text "ada@example.com",
    "doubleValue" .= Number 1.5,
    "floatValue" .= Number (-2.25),
    "int32Value" .= number (-32),
    "int64Value" .= text "-64",
    "uint32Value" .= number 32,
    "uint64Value" .= text "64",
    "sint32Value" .= number (-320),
    "sint64Value" .= text "-640",
    "fixed32Value" .= number 3200,
    "fixed64Value" .= text "6400",
    "sfixed32Value" .= number (-3200),
    "sfixed64Value" .= text "-6400",
    "boolValue" .= True,
    "stringValue" .= text "text",
    "bytesValue" .= text "AAEC/w==",
    "colour" .= text "COLOUR_GREEN",
    "optionalNumber" .= number 7,
    "optionalText" .= text "there",
    "part" .= part [label "outer", count 1, "parts" .= [part [label "inner", count 2]]],
    "numbers" .= texts ["1", "-2", "3"],
    "texts" .= texts ["one", "two"],
    "parts" .= [part [label "first"], part [label "second", count 2]],
    "colours" .= texts ["COLOUR_RED", "COLOUR_INFRARED"],
    "textsByText" .= object ["a" .= text "1", "b" .= text "2"],
    "partsByNumber" .= object ["1" .= part [label "one"], "-1" .= part [label "minus one"]],
    "numbersByTruth" .= object ["true" .= number 1, "false" .= number 0],
    "chosenPart" .= part [label "chosen"],
    "timestamp" .= text "2026-11-22T12:34:56.789012345Z",
    "duration" .= text "-1.500s",
    "wrappedNumber" .= text "0",
    "object"
      .= object
        [ "list" .= [Number 1, String "two", Null, Bool True],
          "nested" .= object ["key" .= text "value"]
        ],
    "any"
      .= object
        [ "@type" .= text "type.googleapis.com/tidings.conformance.v1.Part",
          label "any",
          count 3
        ]
  ]
  where
    label = ("label" .=) . text
    count = ("count" .=) . number

maximal :: [Pair]
maximal =
  [ "name" .= text "max",
    "doubleValue" .= Number 1.7976931348623157e308,
    "floatValue" .= Number 3.4028235e38,
    "int32Value" .= int32,
    "int64Value" .= int64,
    "uint32Value" .= Number 4294967295,
    "uint64Value" .= text "18446744073709551615",
    "sint32Value" .= int32,
    "sint64Value" .= int64,
    "fixed32Value" .= Number 4294967295,
    "fixed64Value" .= text "18446744073709551615",
    "sfixed32Value" .= int32,
    "sfixed64Value" .= int64,
    "optionalNumber" .= int32,
    "numbers" .= [int64, "9007199254740993"],
    "partsByNumber" .= object ["9223372036854775807" .= part ["label" .= text "max", "count" .= int32]],
    "chosenNumber" .= int64,
    "timestamp" .= text "9999-12-31T23:59:59.999999999Z",
    "duration" .= text "315576000000s",
    "wrappedNumber" .= int64
  ]
  where
    int32 = maxBound :: Int32
    int64 = text "9223372036854775807"

minimal :: [Pair]
minimal =
  [ "name" .= text "min",
    "doubleValue" .= Number 5e-324,
    "floatValue" .= Number (-3.4028235e38),
    "int32Value" .= int32,
    "int64Value" .= int64,
    "sint32Value" .= int32,
    "sint64Value" .= int64,
    "sfixed32Value" .= int32,
    "sfixed64Value" .= int64,
    "optionalNumber" .= int32,
    "numbers" .= [int64, "-9007199254740993"],
    "partsByNumber" .= object ["-9223372036854775808" .= part ["label" .= text "min", "count" .= int32]],
    "chosenNumber" .= int64,
    "timestamp" .= text "0001-01-01T00:00:00Z",
    "duration" .= text "-315576000000s",
    "wrappedNumber" .= int64
  ]
  where
    int32 = minBound :: Int32
    int64 = text "-9223372036854775808"

-- | Has what is there and empty.
empty :: [Pair]
empty =
  [ "name" .= text "empty",
    "optionalNumber" .= number 0,
    "optionalText" .= text "",
    "part" .= part [],
    "parts" .= [part []],
    "texts" .= texts [""],
    "chosenText" .= text "",
    "wrappedNumber" .= text "0",
    "object" .= object []
  ]

unicode :: [Pair]
unicode =
  [ "name" .= text "unicode",
    "stringValue" .= text "Grüße, 世界, עולם, 🌍, e\x301, \"\\/\n",
    "texts" .= texts ["🇪🇺", "\xfeff", "\x2028", "👩\x200d👩\x200d👧"],
    "textsByText" .= object ["ключ" .= text "значение", "鍵" .= text "値"],
    "chosenText" .= text "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
    "bytesValue" .= text "w7/wn4yN"
  ]
