# JSON, and the values that are published. values/*.json in the directory above says
# what they are. A value is a dictionary of fields in JSON.

proc text {text} {
    return "\"[string map {\\ \\\\ \" \\\" \n \\n} $text]\""
}

proc object {args} {
    return "{[join [lmap {name value} $args {string cat [text $name] : $value}] ,]}"
}

proc items {args} {
    return "\[[join $args ,]\]"
}

proc texts {args} {
    items {*}[lmap each $args {text $each}]
}

# The value as the content of an event.
proc typed {value} {
    object @type [text type.googleapis.com/tidings.conformance.v1.EveryKind] {*}$value
}

proc bytes {data} {
    text [binary encode base64 $data]
}

proc part {label {count 0} args} {
    set fields [list label [text $label]]
    if {$count != 0} {
        lappend fields count $count
    }
    if {[llength $args] > 0} {
        lappend fields parts [items {*}$args]
    }
    object {*}$fields
}

set max_int32 2147483647
set min_int32 -2147483648
set max_uint32 4294967295
# Numbers of 64 bits are texts in JSON.
set max_int64 [text 9223372036854775807]
set min_int64 [text -9223372036854775808]
set max_uint64 [text 18446744073709551615]

proc full {} {
    list \
        name [text full] email [text ada@example.com] \
        doubleValue 1.5 floatValue -2.25 \
        int32Value -32 int64Value [text -64] uint32Value 32 uint64Value [text 64] \
        sint32Value -320 sint64Value [text -640] \
        fixed32Value 3200 fixed64Value [text 6400] \
        sfixed32Value -3200 sfixed64Value [text -6400] \
        boolValue true stringValue [text text] bytesValue [bytes \x00\x01\x02\xff] \
        colour [text COLOUR_GREEN] \
        optionalNumber 7 optionalText [text there] \
        part [part outer 1 [part inner 2]] \
        numbers [texts 1 -2 3] texts [texts one two] \
        parts [items [part first] [part second 2]] \
        colours [texts COLOUR_RED COLOUR_INFRARED] \
        textsByText [object a [text 1] b [text 2]] \
        partsByNumber [object 1 [part one] -1 [part {minus one}]] \
        numbersByTruth [object true 1 false 0] \
        chosenPart [part chosen] \
        timestamp [text 2026-11-22T12:34:56.789012345Z] duration [text -1.500s] \
        wrappedNumber [text 0] \
        object [object list [items 1 [text two] null true] nested [object key [text value]]] \
        any [object @type [text type.googleapis.com/tidings.conformance.v1.Part] \
            label [text any] count 3]
}

proc maximal {} {
    global max_int32 max_uint32 max_int64 max_uint64
    list \
        name [text max] \
        doubleValue 1.7976931348623157e308 floatValue 3.4028235e38 \
        int32Value $max_int32 int64Value $max_int64 \
        uint32Value $max_uint32 uint64Value $max_uint64 \
        sint32Value $max_int32 sint64Value $max_int64 \
        fixed32Value $max_uint32 fixed64Value $max_uint64 \
        sfixed32Value $max_int32 sfixed64Value $max_int64 \
        optionalNumber $max_int32 \
        numbers [items $max_int64 [text 9007199254740993]] \
        partsByNumber [object 9223372036854775807 [part max $max_int32]] \
        chosenNumber $max_int64 \
        timestamp [text 9999-12-31T23:59:59.999999999Z] duration [text 315576000000s] \
        wrappedNumber $max_int64
}

proc minimal {} {
    global min_int32 min_int64
    list \
        name [text min] \
        doubleValue 5e-324 floatValue -3.4028235e38 \
        int32Value $min_int32 int64Value $min_int64 \
        sint32Value $min_int32 sint64Value $min_int64 \
        sfixed32Value $min_int32 sfixed64Value $min_int64 \
        optionalNumber $min_int32 \
        numbers [items $min_int64 [text -9007199254740993]] \
        partsByNumber [object -9223372036854775808 [part min $min_int32]] \
        chosenNumber $min_int64 \
        timestamp [text 0001-01-01T00:00:00Z] duration [text -315576000000s] \
        wrappedNumber $min_int64
}

# What is there and empty.
proc empty {} {
    list \
        name [text empty] optionalNumber 0 optionalText [text {}] \
        part [object] parts [items [object]] texts [texts {}] chosenText [text {}] \
        wrappedNumber [text 0] object [object]
}

proc unicode {} {
    list \
        name [text unicode] \
        stringValue [text "Grüße, 世界, עולם, 🌍, e\u0301, \"\\/\n"] \
        texts [texts 🇪🇺 \ufeff \u2028 👩\u200d👩\u200d👧] \
        textsByText [object ключ [text значение] 鍵 [text 値]] \
        chosenText [text 𝔘𝔫𝔦𝔠𝔬𝔡𝔢] \
        bytesValue [bytes [encoding convertto utf-8 ÿ🌍]]
}

# The values by their names, in order.
proc values {} {
    list full [full] max [maximal] min [minimal] empty [empty] unicode [unicode]
}

# A text for a part of a tree of JSON, the same for all that mean the same: fields in any
# order, and fractions written in any way.
proc canonical {node} {
    set type [$node jsonType]
    switch $type {
        OBJECT {
            return "{[lsort [lmap child [$node childNodes] {
                list [$child nodeName] [canonical $child]
            }]]}"
        }
        ARRAY {
            return "\[[lmap child [$node childNodes] {canonical $child}]\]"
        }
        NONE {
            return [canonical [$node firstChild]]
        }
        NUMBER {
            set number [$node nodeValue]
            return [expr {[string is entier $number] ? $number : double($number)}]
        }
        default {
            return "$type [$node nodeValue]"
        }
    }
}
