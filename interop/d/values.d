/// The values that are published, as protobuf's JSON. values/*.json in the directory
/// above says what they are. Integers of 64 bits are strings there.
module values;

import std.algorithm : map;
import std.array : array;
import std.conv : to;
import std.json : JSONValue;

/// A value with its name, as the `data` of an event: a google.protobuf.Any.
struct Named
{
    string name;
    JSONValue data;
}

/// All values, in the order in which they are published.
Named[] all()
{
    return [full, max, min, empty, unicode].map!(fields => Named(fields["name"].str, any(fields))).array;
}

/// A value as the `data` of an event.
JSONValue any(JSONValue[string] fields)
{
    auto data = fields.dup;
    data["@type"] = JSONValue("type.googleapis.com/tidings.conformance.v1.EveryKind");
    return JSONValue(data);
}

/// The largest float in its shortest form, which is rounded to it.
private enum floatMax = 3.4028235e38;

private JSONValue json(T)(T value)
{
    return JSONValue(value);
}

private JSONValue emptyObject()
{
    JSONValue[string] none;
    return JSONValue(none);
}

private JSONValue part(string label, int count = 0)
{
    auto fields = ["label": json(label)];
    if (count != 0)
        fields["count"] = json(count);
    return JSONValue(fields);
}

JSONValue[string] full()
{
    auto outer = part("outer", 1);
    outer["parts"] = json([part("inner", 2)]);
    auto anyPart = part("any", 3);
    anyPart["@type"] = json("type.googleapis.com/tidings.conformance.v1.Part");
    return [
        "name": json("full"),
        "email": json("ada@example.com"),
        "doubleValue": json(1.5),
        "floatValue": json(-2.25),
        "int32Value": json(-32),
        "int64Value": json("-64"),
        "uint32Value": json(32),
        "uint64Value": json("64"),
        "sint32Value": json(-320),
        "sint64Value": json("-640"),
        "fixed32Value": json(3200),
        "fixed64Value": json("6400"),
        "sfixed32Value": json(-3200),
        "sfixed64Value": json("-6400"),
        "boolValue": json(true),
        "stringValue": json("text"),
        "bytesValue": json("AAEC/w=="),
        "colour": json("COLOUR_GREEN"),
        "optionalNumber": json(7),
        "optionalText": json("there"),
        "part": outer,
        "numbers": json(["1", "-2", "3"]),
        "texts": json(["one", "two"]),
        "parts": json([part("first"), part("second", 2)]),
        "colours": json(["COLOUR_RED", "COLOUR_INFRARED"]),
        "textsByText": json(["a": "1", "b": "2"]),
        "partsByNumber": json(["1": part("one"), "-1": part("minus one")]),
        "numbersByTruth": json(["true": 1, "false": 0]),
        "chosenPart": part("chosen"),
        "timestamp": json("2026-11-22T12:34:56.789012345Z"),
        "duration": json("-1.500s"),
        "wrappedNumber": json("0"),
        "object": json([
            "list": json([json(1), json("two"), json(null), json(true)]),
            "nested": json(["key": "value"]),
        ]),
        "any": anyPart,
    ];
}

private JSONValue[string] max()
{
    return [
        "name": json("max"),
        "doubleValue": json(double.max),
        "floatValue": json(floatMax),
        "int32Value": json(int.max),
        "int64Value": json(long.max.to!string),
        "uint32Value": json(uint.max),
        "uint64Value": json(ulong.max.to!string),
        "sint32Value": json(int.max),
        "sint64Value": json(long.max.to!string),
        "fixed32Value": json(uint.max),
        "fixed64Value": json(ulong.max.to!string),
        "sfixed32Value": json(int.max),
        "sfixed64Value": json(long.max.to!string),
        "optionalNumber": json(int.max),
        "numbers": json([long.max.to!string, "9007199254740993"]),
        "partsByNumber": json([long.max.to!string: part("max", int.max)]),
        "chosenNumber": json(long.max.to!string),
        "timestamp": json("9999-12-31T23:59:59.999999999Z"),
        "duration": json("315576000000s"),
        "wrappedNumber": json(long.max.to!string),
    ];
}

private JSONValue[string] min()
{
    return [
        "name": json("min"),
        "doubleValue": json(double.min_normal * double.epsilon),
        "floatValue": json(-floatMax),
        "int32Value": json(int.min),
        "int64Value": json(long.min.to!string),
        "sint32Value": json(int.min),
        "sint64Value": json(long.min.to!string),
        "sfixed32Value": json(int.min),
        "sfixed64Value": json(long.min.to!string),
        "optionalNumber": json(int.min),
        "numbers": json([long.min.to!string, "-9007199254740993"]),
        "partsByNumber": json([long.min.to!string: part("min", int.min)]),
        "chosenNumber": json(long.min.to!string),
        "timestamp": json("0001-01-01T00:00:00Z"),
        "duration": json("-315576000000s"),
        "wrappedNumber": json(long.min.to!string),
    ];
}

/// Has what is there and empty.
private JSONValue[string] empty()
{
    return [
        "name": json("empty"),
        "optionalNumber": json(0),
        "optionalText": json(""),
        "part": emptyObject,
        "parts": json([emptyObject]),
        "texts": json([""]),
        "chosenText": json(""),
        "wrappedNumber": json("0"),
        "object": emptyObject,
    ];
}

private JSONValue[string] unicode()
{
    return [
        "name": json("unicode"),
        "stringValue": json("Grüße, 世界, עולם, 🌍, e\u0301, \"\\/\n"),
        "texts": json(["🇪🇺", "\ufeff", "\u2028", "👩\u200d👩\u200d👧"]),
        "textsByText": json(["ключ": "значение", "鍵": "値"]),
        "chosenText": json("𝔘𝔫𝔦𝔠𝔬𝔡𝔢"),
        "bytesValue": json("w7/wn4yN"),
    ];
}
