using System;
using System.Collections.Generic;
using System.Text;
using Newtonsoft.Json.Linq;

namespace Tidings.Interop
{
    /// <summary>The values that are published, in JSON. values/*.json in the directory above says
    /// what they are. Numbers of 64 bits are texts in JSON.</summary>
    public static class Values
    {
        // As a float is written; as a double it would have more digits.
        private const double MaxFloat = 3.4028235e38;

        private const string MaxDuration = "315576000000s";

        public static IReadOnlyList<JObject> All =>
            new[] { Full(), Maximal(), Minimal(), Empty(), Unicode() };

        public static JObject Full() => new JObject
        {
            ["name"] = "full",
            ["email"] = "ada@example.com",
            ["doubleValue"] = 1.5,
            ["floatValue"] = -2.25,
            ["int32Value"] = -32,
            ["int64Value"] = "-64",
            ["uint32Value"] = 32,
            ["uint64Value"] = "64",
            ["sint32Value"] = -320,
            ["sint64Value"] = "-640",
            ["fixed32Value"] = 3200,
            ["fixed64Value"] = "6400",
            ["sfixed32Value"] = -3200,
            ["sfixed64Value"] = "-6400",
            ["boolValue"] = true,
            ["stringValue"] = "text",
            ["bytesValue"] = Convert.ToBase64String(new byte[] { 0, 1, 2, 255 }),
            ["colour"] = "COLOUR_GREEN",
            ["optionalNumber"] = 7,
            ["optionalText"] = "there",
            ["part"] = Part("outer", 1, Part("inner", 2)),
            ["numbers"] = new JArray("1", "-2", "3"),
            ["texts"] = new JArray("one", "two"),
            ["parts"] = new JArray(Part("first"), Part("second", 2)),
            ["colours"] = new JArray("COLOUR_RED", "COLOUR_INFRARED"),
            ["textsByText"] = new JObject { ["a"] = "1", ["b"] = "2" },
            ["partsByNumber"] = new JObject { ["1"] = Part("one"), ["-1"] = Part("minus one") },
            ["numbersByTruth"] = new JObject { ["true"] = 1, ["false"] = 0 },
            ["chosenPart"] = Part("chosen"),
            ["timestamp"] = "2026-11-22T12:34:56.789012345Z",
            ["duration"] = "-1.500s",
            ["wrappedNumber"] = "0",
            ["object"] = new JObject
            {
                ["list"] = new JArray(1, "two", JValue.CreateNull(), true),
                ["nested"] = new JObject { ["key"] = "value" },
            },
            ["any"] = new JObject(Part("any", 3))
            {
                ["@type"] = "type.googleapis.com/tidings.conformance.v1.Part",
            },
        };

        private static JObject Maximal() => new JObject
        {
            ["name"] = "max",
            ["doubleValue"] = double.MaxValue,
            ["floatValue"] = MaxFloat,
            ["int32Value"] = int.MaxValue,
            ["int64Value"] = $"{long.MaxValue}",
            ["uint32Value"] = uint.MaxValue,
            ["uint64Value"] = $"{ulong.MaxValue}",
            ["sint32Value"] = int.MaxValue,
            ["sint64Value"] = $"{long.MaxValue}",
            ["fixed32Value"] = uint.MaxValue,
            ["fixed64Value"] = $"{ulong.MaxValue}",
            ["sfixed32Value"] = int.MaxValue,
            ["sfixed64Value"] = $"{long.MaxValue}",
            ["optionalNumber"] = int.MaxValue,
            ["numbers"] = new JArray($"{long.MaxValue}", $"{(1L << 53) + 1}"),
            ["partsByNumber"] = new JObject { [$"{long.MaxValue}"] = Part("max", int.MaxValue) },
            ["chosenNumber"] = $"{long.MaxValue}",
            ["timestamp"] = "9999-12-31T23:59:59.999999999Z",
            ["duration"] = MaxDuration,
            ["wrappedNumber"] = $"{long.MaxValue}",
        };

        private static JObject Minimal() => new JObject
        {
            ["name"] = "min",
            ["doubleValue"] = double.Epsilon,
            ["floatValue"] = -MaxFloat,
            ["int32Value"] = int.MinValue,
            ["int64Value"] = $"{long.MinValue}",
            ["sint32Value"] = int.MinValue,
            ["sint64Value"] = $"{long.MinValue}",
            ["sfixed32Value"] = int.MinValue,
            ["sfixed64Value"] = $"{long.MinValue}",
            ["optionalNumber"] = int.MinValue,
            ["numbers"] = new JArray($"{long.MinValue}", $"{-(1L << 53) - 1}"),
            ["partsByNumber"] = new JObject { [$"{long.MinValue}"] = Part("min", int.MinValue) },
            ["chosenNumber"] = $"{long.MinValue}",
            ["timestamp"] = "0001-01-01T00:00:00Z",
            ["duration"] = $"-{MaxDuration}",
            ["wrappedNumber"] = $"{long.MinValue}",
        };

        /// <summary>What is there and empty.</summary>
        private static JObject Empty() => new JObject
        {
            ["name"] = "empty",
            ["optionalNumber"] = 0,
            ["optionalText"] = "",
            ["part"] = new JObject(),
            ["parts"] = new JArray(new JObject()),
            ["texts"] = new JArray(""),
            ["chosenText"] = "",
            ["wrappedNumber"] = "0",
            ["object"] = new JObject(),
        };

        private static JObject Unicode() => new JObject
        {
            ["name"] = "unicode",
            ["stringValue"] = "Grüße, 世界, עולם, 🌍, e\u0301, \"\\/\n",
            ["texts"] = new JArray("🇪🇺", "\ufeff", "\u2028", "👩\u200d👩\u200d👧"),
            ["textsByText"] = new JObject { ["ключ"] = "значение", ["鍵"] = "値" },
            ["chosenText"] = "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
            ["bytesValue"] = Convert.ToBase64String(Encoding.UTF8.GetBytes("ÿ🌍")),
        };

        private static JObject Part(string label, int count = 0, params JObject[] parts)
        {
            var part = new JObject { ["label"] = label };
            if (count != 0)
            {
                part["count"] = count;
            }
            if (parts.Length > 0)
            {
                part["parts"] = new JArray(parts);
            }
            return part;
        }
    }
}
