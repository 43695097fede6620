package com.example.interop

import com.example.tidings.conformance.v1.Colour
import com.example.tidings.conformance.v1.EveryKind
import com.example.tidings.conformance.v1.Part
import com.google.protobuf.Any
import com.google.protobuf.ByteString
import com.google.protobuf.Int64Value
import com.google.protobuf.ListValue
import com.google.protobuf.NullValue
import com.google.protobuf.Struct
import com.google.protobuf.Timestamp
import com.google.protobuf.Value
import com.google.protobuf.util.Durations
import groovy.transform.CompileStatic

import java.time.Instant

/** The values that are published. values/*.json in the directory above says what they are. */
@CompileStatic
class Values {
    /** The numbers without sign are those with one whose bits are the same. */
    private static final int MAX_UINT32 = -1
    private static final long MAX_UINT64 = -1

    /** Returns the values in the order in which they are published. */
    static List<EveryKind> all() { [full(), maximal(), minimal(), empty(), unicode()] }

    static EveryKind full() {
        EveryKind.newBuilder().tap {
            name = 'full'
            email = 'ada@example.com'
            doubleValue = 1.5d
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
            stringValue = 'text'
            bytesValue = bytes(0, 1, 2, 255)
            colour = Colour.COLOUR_GREEN
            optionalNumber = 7
            optionalText = 'there'
            part = Values.part('outer', 1).toBuilder().addParts(Values.part('inner', 2)).build()
            addAllNumbers([1L, -2L, 3L])
            addAllTexts(['one', 'two'])
            addAllParts([Values.part('first'), Values.part('second', 2)])
            addAllColours([Colour.COLOUR_RED, Colour.COLOUR_INFRARED])
            putAllTextsByText([a: '1', b: '2'])
            putAllPartsByNumber([(1L): Values.part('one'), (-1L): Values.part('minus one')])
            putAllNumbersByTruth([(true): 1, (false): 0])
            chosenPart = Values.part('chosen')
            timestamp = Values.timestamp('2026-11-22T12:34:56.789012345Z')
            duration = Durations.fromMillis(-1500)
            wrappedNumber = Int64Value.of(0)
            it.setObject(toStruct(list: [1, 'two', null, true], nested: [key: 'value']))
            any = Any.pack(Values.part('any', 3))
        }.build()
    }

    private static EveryKind maximal() {
        EveryKind.newBuilder().tap {
            name = 'max'
            doubleValue = Double.MAX_VALUE
            floatValue = Float.MAX_VALUE
            int32Value = Integer.MAX_VALUE
            int64Value = Long.MAX_VALUE
            uint32Value = MAX_UINT32
            uint64Value = MAX_UINT64
            sint32Value = Integer.MAX_VALUE
            sint64Value = Long.MAX_VALUE
            fixed32Value = MAX_UINT32
            fixed64Value = MAX_UINT64
            sfixed32Value = Integer.MAX_VALUE
            sfixed64Value = Long.MAX_VALUE
            optionalNumber = Integer.MAX_VALUE
            addAllNumbers([Long.MAX_VALUE, (1L << 53) + 1])
            putPartsByNumber(Long.MAX_VALUE, Values.part('max', Integer.MAX_VALUE))
            chosenNumber = Long.MAX_VALUE
            timestamp = Values.timestamp('9999-12-31T23:59:59.999999999Z')
            duration = Durations.fromSeconds(315_576_000_000L)
            wrappedNumber = Int64Value.of(Long.MAX_VALUE)
        }.build()
    }

    private static EveryKind minimal() {
        EveryKind.newBuilder().tap {
            name = 'min'
            doubleValue = Double.MIN_VALUE
            floatValue = -Float.MAX_VALUE
            int32Value = Integer.MIN_VALUE
            int64Value = Long.MIN_VALUE
            sint32Value = Integer.MIN_VALUE
            sint64Value = Long.MIN_VALUE
            sfixed32Value = Integer.MIN_VALUE
            sfixed64Value = Long.MIN_VALUE
            optionalNumber = Integer.MIN_VALUE
            addAllNumbers([Long.MIN_VALUE, -((1L << 53) + 1)])
            putPartsByNumber(Long.MIN_VALUE, Values.part('min', Integer.MIN_VALUE))
            chosenNumber = Long.MIN_VALUE
            timestamp = Values.timestamp('0001-01-01T00:00:00Z')
            duration = Durations.fromSeconds(-315_576_000_000L)
            wrappedNumber = Int64Value.of(Long.MIN_VALUE)
        }.build()
    }

    /** Has what is there and empty. */
    private static EveryKind empty() {
        EveryKind.newBuilder().tap {
            name = 'empty'
            optionalNumber = 0
            optionalText = ''
            part = Part.defaultInstance
            addParts(Part.defaultInstance)
            addTexts('')
            chosenText = ''
            wrappedNumber = Int64Value.of(0)
            it.setObject(Struct.defaultInstance)
        }.build()
    }

    private static EveryKind unicode() {
        EveryKind.newBuilder().tap {
            name = 'unicode'
            stringValue = 'Grüße, 世界, עולם, 🌍, e\u0301, "\\/\n'
            addAllTexts(['🇪🇺', '\ufeff', '\u2028', '👩\u200d👩\u200d👧'])
            putAllTextsByText(['ключ': 'значение', '鍵': '値'])
            chosenText = '𝔘𝔫𝔦𝔠𝔬𝔡𝔢'
            bytesValue = bytes(0xc3, 0xbf, 0xf0, 0x9f, 0x8c, 0x8d)
        }.build()
    }

    private static Part part(String label, int count = 0) {
        Part.newBuilder().setLabel(label).setCount(count).build()
    }

    private static ByteString bytes(int... values) {
        ByteString.copyFrom(values.collect { it as byte } as byte[])
    }

    private static Timestamp timestamp(String text) {
        def instant = Instant.parse(text)
        Timestamp.newBuilder().setSeconds(instant.epochSecond).setNanos(instant.nano).build()
    }

    private static Struct toStruct(Map<String, Object> fields) {
        Struct.newBuilder().putAllFields(fields.collectEntries { name, value -> [name, toValue(value)] }).build()
    }

    private static Value toValue(Object value) {
        def result = Value.newBuilder()
        switch (value) {
            case null -> result.setNullValue(NullValue.NULL_VALUE)
            case Boolean -> result.setBoolValue((boolean) value)
            case Number -> result.setNumberValue(((Number) value).doubleValue())
            case String -> result.setStringValue((String) value)
            case List -> {
                def values = ((List) value).collect { toValue(it) }
                result.setListValue(ListValue.newBuilder().addAllValues(values))
            }
            case Map -> result.setStructValue(toStruct((Map<String, Object>) value))
            default -> throw new IllegalArgumentException("no JSON value: $value")
        }
        result.build()
    }
}
