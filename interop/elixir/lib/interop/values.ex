defmodule Interop.Values do
  @moduledoc """
  The values that are published. values/*.json in the directory above says what they are.

  Integers of 64 bits are strings in protobuf's JSON.
  """

  @int32_max 2_147_483_647
  @int32_min -2_147_483_648
  @int64_max "9223372036854775807"
  @int64_min "-9223372036854775808"
  @uint32_max 4_294_967_295
  @uint64_max "18446744073709551615"
  @float_max 3.4028235e38

  @doc "Returns them in the order in which they are published."
  def all, do: [full(), max(), min(), empty(), unicode()]

  @doc "Returns a value as the data of an event."
  def data(value), do: Map.put(value, "@type", "type.googleapis.com/tidings.conformance.v1.EveryKind")

  def full do
    %{
      "name" => "full",
      "email" => "ada@example.com",
      "doubleValue" => 1.5,
      "floatValue" => -2.25,
      "int32Value" => -32,
      "int64Value" => "-64",
      "uint32Value" => 32,
      "uint64Value" => "64",
      "sint32Value" => -320,
      "sint64Value" => "-640",
      "fixed32Value" => 3200,
      "fixed64Value" => "6400",
      "sfixed32Value" => -3200,
      "sfixed64Value" => "-6400",
      "boolValue" => true,
      "stringValue" => "text",
      "bytesValue" => Base.encode64(<<0, 1, 2, 255>>),
      "colour" => "COLOUR_GREEN",
      "optionalNumber" => 7,
      "optionalText" => "there",
      "part" => %{"label" => "outer", "count" => 1, "parts" => [%{"label" => "inner", "count" => 2}]},
      "numbers" => ["1", "-2", "3"],
      "texts" => ["one", "two"],
      "parts" => [%{"label" => "first"}, %{"label" => "second", "count" => 2}],
      "colours" => ["COLOUR_RED", "COLOUR_INFRARED"],
      "textsByText" => %{"a" => "1", "b" => "2"},
      "partsByNumber" => %{"1" => %{"label" => "one"}, "-1" => %{"label" => "minus one"}},
      "numbersByTruth" => %{"true" => 1, "false" => 0},
      "chosenPart" => %{"label" => "chosen"},
      "timestamp" => "2026-11-22T12:34:56.789012345Z",
      "duration" => "-1.500s",
      "wrappedNumber" => "0",
      "object" => %{"list" => [1, "two", :null, true], "nested" => %{"key" => "value"}},
      "any" => %{
        "@type" => "type.googleapis.com/tidings.conformance.v1.Part",
        "label" => "any",
        "count" => 3
      }
    }
  end

  defp max do
    %{
      "name" => "max",
      "doubleValue" => 1.7976931348623157e308,
      "floatValue" => @float_max,
      "int32Value" => @int32_max,
      "int64Value" => @int64_max,
      "uint32Value" => @uint32_max,
      "uint64Value" => @uint64_max,
      "sint32Value" => @int32_max,
      "sint64Value" => @int64_max,
      "fixed32Value" => @uint32_max,
      "fixed64Value" => @uint64_max,
      "sfixed32Value" => @int32_max,
      "sfixed64Value" => @int64_max,
      "optionalNumber" => @int32_max,
      "numbers" => [@int64_max, "9007199254740993"],
      "partsByNumber" => %{@int64_max => %{"label" => "max", "count" => @int32_max}},
      "chosenNumber" => @int64_max,
      "timestamp" => "9999-12-31T23:59:59.999999999Z",
      "duration" => "315576000000s",
      "wrappedNumber" => @int64_max
    }
  end

  defp min do
    %{
      "name" => "min",
      "doubleValue" => 5.0e-324,
      "floatValue" => -@float_max,
      "int32Value" => @int32_min,
      "int64Value" => @int64_min,
      "sint32Value" => @int32_min,
      "sint64Value" => @int64_min,
      "sfixed32Value" => @int32_min,
      "sfixed64Value" => @int64_min,
      "optionalNumber" => @int32_min,
      "numbers" => [@int64_min, "-9007199254740993"],
      "partsByNumber" => %{@int64_min => %{"label" => "min", "count" => @int32_min}},
      "chosenNumber" => @int64_min,
      "timestamp" => "0001-01-01T00:00:00Z",
      "duration" => "-315576000000s",
      "wrappedNumber" => @int64_min
    }
  end

  # What is there and empty.
  defp empty do
    %{
      "name" => "empty",
      "optionalNumber" => 0,
      "optionalText" => "",
      "part" => %{},
      "parts" => [%{}],
      "texts" => [""],
      "chosenText" => "",
      "wrappedNumber" => "0",
      "object" => %{}
    }
  end

  defp unicode do
    %{
      "name" => "unicode",
      "stringValue" => "Grüße, 世界, עולם, 🌍, e\u0301, \"\\/\n",
      "texts" => ["🇪🇺", "\ufeff", "\u2028", "👩\u200d👩\u200d👧"],
      "textsByText" => %{"ключ" => "значение", "鍵" => "値"},
      "chosenText" => "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
      "bytesValue" => Base.encode64(<<0xC3, 0xBF, 0xF0, 0x9F, 0x8C, 0x8D>>)
    }
  end
end
