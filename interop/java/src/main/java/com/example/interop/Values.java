package com.example.interop;

import com.example.tidings.conformance.v1.Colour;
import com.example.tidings.conformance.v1.EveryKind;
import com.example.tidings.conformance.v1.Part;
import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.Int64Value;
import com.google.protobuf.ListValue;
import com.google.protobuf.NullValue;
import com.google.protobuf.Struct;
import com.google.protobuf.Timestamp;
import com.google.protobuf.Value;
import com.google.protobuf.util.Durations;
import java.time.Instant;
import java.util.List;

/** The values that are published. values/*.json in the directory above says what they are. */
final class Values {
  /** The numbers without sign are those with one whose bits are the same. */
  private static final int MAX_UINT32 = -1;

  private static final long MAX_UINT64 = -1;

  private Values() {}

  /** Returns the values in the order in which they are published. */
  static List<EveryKind> all() {
    return List.of(full(), maximal(), minimal(), empty(), unicode());
  }

  static EveryKind full() {
    return EveryKind.newBuilder()
        .setName("full")
        .setEmail("ada@example.com")
        .setDoubleValue(1.5)
        .setFloatValue(-2.25f)
        .setInt32Value(-32)
        .setInt64Value(-64)
        .setUint32Value(32)
        .setUint64Value(64)
        .setSint32Value(-320)
        .setSint64Value(-640)
        .setFixed32Value(3200)
        .setFixed64Value(6400)
        .setSfixed32Value(-3200)
        .setSfixed64Value(-6400)
        .setBoolValue(true)
        .setStringValue("text")
        .setBytesValue(bytes(0, 1, 2, 255))
        .setColour(Colour.COLOUR_GREEN)
        .setOptionalNumber(7)
        .setOptionalText("there")
        .setPart(part("outer", 1).toBuilder().addParts(part("inner", 2)))
        .addAllNumbers(List.of(1L, -2L, 3L))
        .addAllTexts(List.of("one", "two"))
        .addAllParts(List.of(part("first", 0), part("second", 2)))
        .addAllColours(List.of(Colour.COLOUR_RED, Colour.COLOUR_INFRARED))
        .putTextsByText("a", "1")
        .putTextsByText("b", "2")
        .putPartsByNumber(1, part("one", 0))
        .putPartsByNumber(-1, part("minus one", 0))
        .putNumbersByTruth(true, 1)
        .putNumbersByTruth(false, 0)
        .setChosenPart(part("chosen", 0))
        .setTimestamp(timestamp("2026-11-22T12:34:56.789012345Z"))
        .setDuration(Durations.fromMillis(-1500))
        .setWrappedNumber(Int64Value.of(0))
        .setObject(object())
        .setAny(Any.pack(part("any", 3)))
        .build();
  }

  static EveryKind maximal() {
    return EveryKind.newBuilder()
        .setName("max")
        .setDoubleValue(Double.MAX_VALUE)
        .setFloatValue(Float.MAX_VALUE)
        .setInt32Value(Integer.MAX_VALUE)
        .setInt64Value(Long.MAX_VALUE)
        .setUint32Value(MAX_UINT32)
        .setUint64Value(MAX_UINT64)
        .setSint32Value(Integer.MAX_VALUE)
        .setSint64Value(Long.MAX_VALUE)
        .setFixed32Value(MAX_UINT32)
        .setFixed64Value(MAX_UINT64)
        .setSfixed32Value(Integer.MAX_VALUE)
        .setSfixed64Value(Long.MAX_VALUE)
        .setOptionalNumber(Integer.MAX_VALUE)
        .addNumbers(Long.MAX_VALUE)
        .addNumbers((1L << 53) + 1)
        .putPartsByNumber(Long.MAX_VALUE, part("max", Integer.MAX_VALUE))
        .setChosenNumber(Long.MAX_VALUE)
        .setTimestamp(timestamp("9999-12-31T23:59:59.999999999Z"))
        .setDuration(Durations.fromSeconds(315_576_000_000L))
        .setWrappedNumber(Int64Value.of(Long.MAX_VALUE))
        .build();
  }

  static EveryKind minimal() {
    return EveryKind.newBuilder()
        .setName("min")
        .setDoubleValue(Double.MIN_VALUE)
        .setFloatValue(-Float.MAX_VALUE)
        .setInt32Value(Integer.MIN_VALUE)
        .setInt64Value(Long.MIN_VALUE)
        .setSint32Value(Integer.MIN_VALUE)
        .setSint64Value(Long.MIN_VALUE)
        .setSfixed32Value(Integer.MIN_VALUE)
        .setSfixed64Value(Long.MIN_VALUE)
        .setOptionalNumber(Integer.MIN_VALUE)
        .addNumbers(Long.MIN_VALUE)
        .addNumbers(-((1L << 53) + 1))
        .putPartsByNumber(Long.MIN_VALUE, part("min", Integer.MIN_VALUE))
        .setChosenNumber(Long.MIN_VALUE)
        .setTimestamp(timestamp("0001-01-01T00:00:00Z"))
        .setDuration(Durations.fromSeconds(-315_576_000_000L))
        .setWrappedNumber(Int64Value.of(Long.MIN_VALUE))
        .build();
  }

  /** Has what is there and empty. */
  static EveryKind empty() {
    return EveryKind.newBuilder()
        .setName("empty")
        .setOptionalNumber(0)
        .setOptionalText("")
        .setPart(Part.getDefaultInstance())
        .addParts(Part.getDefaultInstance())
        .addTexts("")
        .setChosenText("")
        .setWrappedNumber(Int64Value.of(0))
        .setObject(Struct.getDefaultInstance())
        .build();
  }

  static EveryKind unicode() {
    return EveryKind.newBuilder()
        .setName("unicode")
        .setStringValue("Grüße, 世界, עולם, 🌍, e\u0301, \"\\/\n")
        .addAllTexts(List.of("🇪🇺", "\ufeff", "\u2028", "👩\u200d👩\u200d👧"))
        .putTextsByText("ключ", "значение")
        .putTextsByText("鍵", "値")
        .setChosenText("𝔘𝔫𝔦𝔠𝔬𝔡𝔢")
        .setBytesValue(bytes(0xc3, 0xbf, 0xf0, 0x9f, 0x8c, 0x8d))
        .build();
  }

  private static Part part(String label, int count) {
    return Part.newBuilder().setLabel(label).setCount(count).build();
  }

  private static ByteString bytes(int... values) {
    ByteString.Output bytes = ByteString.newOutput();
    for (int value : values) {
      bytes.write(value);
    }
    return bytes.toByteString();
  }

  private static Timestamp timestamp(String text) {
    Instant instant = Instant.parse(text);
    return Timestamp.newBuilder()
        .setSeconds(instant.getEpochSecond())
        .setNanos(instant.getNano())
        .build();
  }

  private static Struct object() {
    ListValue list =
        ListValue.newBuilder()
            .addValues(Value.newBuilder().setNumberValue(1))
            .addValues(Value.newBuilder().setStringValue("two"))
            .addValues(Value.newBuilder().setNullValue(NullValue.NULL_VALUE))
            .addValues(Value.newBuilder().setBoolValue(true))
            .build();
    Struct nested =
        Struct.newBuilder()
            .putFields("key", Value.newBuilder().setStringValue("value").build())
            .build();
    return Struct.newBuilder()
        .putFields("list", Value.newBuilder().setListValue(list).build())
        .putFields("nested", Value.newBuilder().setStructValue(nested).build())
        .build();
  }
}
