package com.example.interop

import com.example.tidings.conformance.v1.{Colour, EveryKind, Part}
import com.example.tidings.conformance.v1.EveryKind.Choice
import com.google.protobuf.ByteString
import com.google.protobuf.any.Any
import com.google.protobuf.duration.Duration
import com.google.protobuf.struct.{ListValue, NullValue, Struct, Value}
import com.google.protobuf.struct.Value.Kind
import com.google.protobuf.timestamp.Timestamp
import java.time.Instant

/** The values that are published. values/\*.json in the directory above says what they are. */
object Values:
  // The numbers without sign are those with one whose bits are the same.
  private val MaxUint32 = -1
  private val MaxUint64 = -1L

  val full: EveryKind = EveryKind(
    name = "full",
    email = "ada@example.com",
    doubleValue = 1.5,
    floatValue = -2.25f,
    int32Value = -32,
    int64Value = -64,
    uint32Value = 32,
    uint64Value = 64,
    sint32Value = -320,
    sint64Value = -640,
    fixed32Value = 3200,
    fixed64Value = 6400,
    sfixed32Value = -3200,
    sfixed64Value = -6400,
    boolValue = true,
    stringValue = "text",
    bytesValue = bytes(0, 1, 2, 255),
    colour = Colour.COLOUR_GREEN,
    optionalNumber = Some(7),
    optionalText = Some("there"),
    part = Some(Part("outer", 1, Seq(Part("inner", 2)))),
    numbers = Seq(1, -2, 3),
    texts = Seq("one", "two"),
    parts = Seq(Part("first"), Part("second", 2)),
    colours = Seq(Colour.COLOUR_RED, Colour.COLOUR_INFRARED),
    textsByText = Map("a" -> "1", "b" -> "2"),
    partsByNumber = Map(1L -> Part("one"), -1L -> Part("minus one")),
    numbersByTruth = Map(true -> 1, false -> 0),
    choice = Choice.ChosenPart(Part("chosen")),
    timestamp = Some(timestamp("2026-11-22T12:34:56.789012345Z")),
    duration = Some(Duration(seconds = -1, nanos = -500_000_000)),
    wrappedNumber = Some(0),
    `object` = Some(
      Struct(
        Map(
          "list" -> Value(
            Kind.ListValue(
              ListValue(
                Seq(
                  Value(Kind.NumberValue(1)),
                  Value(Kind.StringValue("two")),
                  Value(Kind.NullValue(NullValue.NULL_VALUE)),
                  Value(Kind.BoolValue(true))
                )
              )
            )
          ),
          "nested" -> Value(
            Kind.StructValue(Struct(Map("key" -> Value(Kind.StringValue("value")))))
          )
        )
      )
    ),
    any = Some(Any.pack(Part("any", 3)))
  )

  private val maximal = EveryKind(
    name = "max",
    doubleValue = Double.MaxValue,
    floatValue = Float.MaxValue,
    int32Value = Int.MaxValue,
    int64Value = Long.MaxValue,
    uint32Value = MaxUint32,
    uint64Value = MaxUint64,
    sint32Value = Int.MaxValue,
    sint64Value = Long.MaxValue,
    fixed32Value = MaxUint32,
    fixed64Value = MaxUint64,
    sfixed32Value = Int.MaxValue,
    sfixed64Value = Long.MaxValue,
    optionalNumber = Some(Int.MaxValue),
    numbers = Seq(Long.MaxValue, (1L << 53) + 1),
    partsByNumber = Map(Long.MaxValue -> Part("max", Int.MaxValue)),
    choice = Choice.ChosenNumber(Long.MaxValue),
    timestamp = Some(timestamp("9999-12-31T23:59:59.999999999Z")),
    duration = Some(Duration(seconds = 315_576_000_000L)),
    wrappedNumber = Some(Long.MaxValue)
  )

  private val minimal = EveryKind(
    name = "min",
    doubleValue = Double.MinPositiveValue,
    floatValue = Float.MinValue,
    int32Value = Int.MinValue,
    int64Value = Long.MinValue,
    sint32Value = Int.MinValue,
    sint64Value = Long.MinValue,
    sfixed32Value = Int.MinValue,
    sfixed64Value = Long.MinValue,
    optionalNumber = Some(Int.MinValue),
    numbers = Seq(Long.MinValue, -((1L << 53) + 1)),
    partsByNumber = Map(Long.MinValue -> Part("min", Int.MinValue)),
    choice = Choice.ChosenNumber(Long.MinValue),
    timestamp = Some(timestamp("0001-01-01T00:00:00Z")),
    duration = Some(Duration(seconds = -315_576_000_000L)),
    wrappedNumber = Some(Long.MinValue)
  )

  /** Has what is there and empty. */
  private val empty = EveryKind(
    name = "empty",
    optionalNumber = Some(0),
    optionalText = Some(""),
    part = Some(Part()),
    parts = Seq(Part()),
    texts = Seq(""),
    choice = Choice.ChosenText(""),
    wrappedNumber = Some(0),
    `object` = Some(Struct())
  )

  private val unicode = EveryKind(
    name = "unicode",
    stringValue = "Grüße, 世界, עולם, 🌍, e\u0301, \"\\/\n",
    texts = Seq("🇪🇺", "\ufeff", "\u2028", "👩\u200d👩\u200d👧"),
    textsByText = Map("ключ" -> "значение", "鍵" -> "値"),
    choice = Choice.ChosenText("𝔘𝔫𝔦𝔠𝔬𝔡𝔢"),
    bytesValue = bytes(0xc3, 0xbf, 0xf0, 0x9f, 0x8c, 0x8d)
  )

  /** The values in the order in which they are published. */
  val all: Seq[EveryKind] = Seq(full, maximal, minimal, empty, unicode)

  private def bytes(values: Int*): ByteString =
    ByteString.copyFrom(values.map(_.toByte).toArray)

  private def timestamp(text: String): Timestamp =
    val instant = Instant.parse(text)
    Timestamp(instant.getEpochSecond, instant.getNano)
