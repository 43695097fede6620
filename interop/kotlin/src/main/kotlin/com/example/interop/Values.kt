package com.example.interop

import com.example.tidings.conformance.v1.Colour
import com.example.tidings.conformance.v1.EveryKind
import com.example.tidings.conformance.v1.Part
import com.example.tidings.conformance.v1.everyKind
import com.example.tidings.conformance.v1.part
import com.google.protobuf.Any
import com.google.protobuf.ByteString
import com.google.protobuf.NullValue
import com.google.protobuf.Timestamp
import com.google.protobuf.int64Value
import com.google.protobuf.kotlin.toByteString
import com.google.protobuf.listValue
import com.google.protobuf.struct
import com.google.protobuf.timestamp
import com.google.protobuf.util.Durations
import com.google.protobuf.value
import java.time.Instant

/** The values that are published, in order. values/\*.json in the directory above says what they are. */
val values = listOf(full(), maximal(), minimal(), empty(), unicode())

fun full(): EveryKind =
    everyKind {
        name = "full"
        email = "ada@example.com"
        doubleValue = 1.5
        floatValue = -2.25f
        int32Value = -32
        int64Value = -64
        uint32Value = 32
        uint64Value = 64
        sint32Value = -320
        sint64Value = -640
        fixed32Value = 3200
        fixed64Value = 6400
        sfixed32Value = -3200
        sfixed64Value = -6400
        boolValue = true
        stringValue = "text"
        bytesValue = bytes(0, 1, 2, 255)
        colour = Colour.COLOUR_GREEN
        optionalNumber = 7
        optionalText = "there"
        part =
            part {
                label = "outer"
                count = 1
                parts += partOf("inner", 2)
            }
        numbers += listOf(1L, -2L, 3L)
        texts += listOf("one", "two")
        parts += listOf(partOf("first"), partOf("second", 2))
        colours += listOf(Colour.COLOUR_RED, Colour.COLOUR_INFRARED)
        textsByText.putAll(mapOf("a" to "1", "b" to "2"))
        partsByNumber.putAll(mapOf(1L to partOf("one"), -1L to partOf("minus one")))
        numbersByTruth.putAll(mapOf(true to 1, false to 0))
        chosenPart = partOf("chosen")
        timestamp = timestampOf("2026-11-22T12:34:56.789012345Z")
        duration = Durations.fromMillis(-1500)
        wrappedNumber = int64Value { }
        object_ =
            struct {
                fields["list"] =
                    value {
                        listValue =
                            listValue {
                                values += value { numberValue = 1.0 }
                                values += value { stringValue = "two" }
                                values += value { nullValue = NullValue.NULL_VALUE }
                                values += value { boolValue = true }
                            }
                    }
                fields["nested"] = value { structValue = struct { fields["key"] = value { stringValue = "value" } } }
            }
        any = Any.pack(partOf("any", 3))
    }

private fun maximal() =
    everyKind {
        name = "max"
        doubleValue = Double.MAX_VALUE
        floatValue = Float.MAX_VALUE
        int32Value = Int.MAX_VALUE
        int64Value = Long.MAX_VALUE
        uint32Value = UInt.MAX_VALUE.toInt()
        uint64Value = ULong.MAX_VALUE.toLong()
        sint32Value = Int.MAX_VALUE
        sint64Value = Long.MAX_VALUE
        fixed32Value = UInt.MAX_VALUE.toInt()
        fixed64Value = ULong.MAX_VALUE.toLong()
        sfixed32Value = Int.MAX_VALUE
        sfixed64Value = Long.MAX_VALUE
        optionalNumber = Int.MAX_VALUE
        numbers += listOf(Long.MAX_VALUE, (1L shl 53) + 1)
        partsByNumber[Long.MAX_VALUE] = partOf("max", Int.MAX_VALUE)
        chosenNumber = Long.MAX_VALUE
        timestamp = timestampOf("9999-12-31T23:59:59.999999999Z")
        duration = Durations.fromSeconds(315_576_000_000)
        wrappedNumber = int64Value { value = Long.MAX_VALUE }
    }

private fun minimal() =
    everyKind {
        name = "min"
        doubleValue = Double.MIN_VALUE
        floatValue = -Float.MAX_VALUE
        int32Value = Int.MIN_VALUE
        int64Value = Long.MIN_VALUE
        sint32Value = Int.MIN_VALUE
        sint64Value = Long.MIN_VALUE
        sfixed32Value = Int.MIN_VALUE
        sfixed64Value = Long.MIN_VALUE
        optionalNumber = Int.MIN_VALUE
        numbers += listOf(Long.MIN_VALUE, -((1L shl 53) + 1))
        partsByNumber[Long.MIN_VALUE] = partOf("min", Int.MIN_VALUE)
        chosenNumber = Long.MIN_VALUE
        timestamp = timestampOf("0001-01-01T00:00:00Z")
        duration = Durations.fromSeconds(-315_576_000_000)
        wrappedNumber = int64Value { value = Long.MIN_VALUE }
    }

/** Has what is there and empty. */
private fun empty() =
    everyKind {
        name = "empty"
        optionalNumber = 0
        optionalText = ""
        part = part { }
        parts += part { }
        texts += ""
        chosenText = ""
        wrappedNumber = int64Value { }
        object_ = struct { }
    }

private fun unicode() =
    everyKind {
        name = "unicode"
        stringValue = "Grüße, 世界, עולם, 🌍, e\u0301, \"\\/\n"
        texts += listOf("🇪🇺", "\ufeff", "\u2028", "👩\u200d👩\u200d👧")
        textsByText.putAll(mapOf("ключ" to "значение", "鍵" to "値"))
        chosenText = "𝔘𝔫𝔦𝔠𝔬𝔡𝔢"
        bytesValue = bytes(0xc3, 0xbf, 0xf0, 0x9f, 0x8c, 0x8d)
    }

private fun partOf(
    label: String,
    count: Int = 0,
): Part =
    part {
        this.label = label
        this.count = count
    }

private fun bytes(vararg values: Int): ByteString = values.map(Int::toByte).toByteArray().toByteString()

private fun timestampOf(text: String): Timestamp {
    val instant = Instant.parse(text)
    return timestamp {
        seconds = instant.epochSecond
        nanos = instant.nano
    }
}
