(ns interop.values
  "The values that are published. values/*.json in the directory above says what
  they are."
  (:import (com.example.tidings.conformance.v1 Colour EveryKind Part)
           (com.google.protobuf Any ByteString Int64Value ListValue NullValue Struct Timestamp Value)
           (com.google.protobuf.util Durations)
           (java.time Instant)))

(set! *warn-on-reflection* true)

;; The numbers without sign are those with one whose bits are the same.
(def ^:private max-uint32 -1)
(def ^:private max-uint64 -1)

(defn- part
  (^Part [label] (part label 0))
  (^Part [^String label number]
   (-> (Part/newBuilder) (.setLabel label) (.setCount (int number)) .build)))

(defn- octets ^ByteString [& values]
  (ByteString/copyFrom (byte-array (map unchecked-byte values))))

(defn- timestamp ^Timestamp [text]
  (let [instant (Instant/parse text)]
    (-> (Timestamp/newBuilder)
        (.setSeconds (.getEpochSecond instant))
        (.setNanos (.getNano instant))
        .build)))

(declare json-value)

(defn- json-object ^Struct [fields]
  (-> (Struct/newBuilder) (.putAllFields (update-vals fields json-value)) .build))

(defn- json-value ^Value [value]
  (let [builder (Value/newBuilder)]
    (cond
      (nil? value) (.setNullValue builder NullValue/NULL_VALUE)
      (boolean? value) (.setBoolValue builder (boolean value))
      (number? value) (.setNumberValue builder (double value))
      (string? value) (.setStringValue builder ^String value)
      (map? value) (.setStructValue builder (json-object value))
      :else (.setListValue builder
                           (-> (ListValue/newBuilder)
                               (.addAllValues ^Iterable (mapv json-value value))
                               .build)))
    (.build builder)))

(defn full ^EveryKind []
  (-> (EveryKind/newBuilder)
      (.setName "full")
      (.setEmail "ada@example.com")
      (.setDoubleValue 1.5)
      (.setFloatValue -2.25)
      (.setInt32Value -32)
      (.setInt64Value -64)
      (.setUint32Value 32)
      (.setUint64Value 64)
      (.setSint32Value -320)
      (.setSint64Value -640)
      (.setFixed32Value 3200)
      (.setFixed64Value 6400)
      (.setSfixed32Value -3200)
      (.setSfixed64Value -6400)
      (.setBoolValue true)
      (.setStringValue "text")
      (.setBytesValue (octets 0 1 2 255))
      (.setColour Colour/COLOUR_GREEN)
      (.setOptionalNumber 7)
      (.setOptionalText "there")
      (.setPart (-> (part "outer" 1) .toBuilder (.addParts (part "inner" 2)) .build))
      (.addAllNumbers [1 -2 3])
      (.addAllTexts ["one" "two"])
      (.addAllParts [(part "first") (part "second" 2)])
      (.addAllColours [Colour/COLOUR_RED Colour/COLOUR_INFRARED])
      (.putAllTextsByText {"a" "1" "b" "2"})
      (.putAllPartsByNumber {1 (part "one") -1 (part "minus one")})
      (.putAllNumbersByTruth {true (int 1) false (int 0)})
      (.setChosenPart (part "chosen"))
      (.setTimestamp (timestamp "2026-11-22T12:34:56.789012345Z"))
      (.setDuration (Durations/fromMillis -1500))
      (.setWrappedNumber (Int64Value/of 0))
      (.setObject (json-object {"list" [1 "two" nil true] "nested" {"key" "value"}}))
      (.setAny (Any/pack (part "any" 3)))
      .build))

(defn- maximal ^EveryKind []
  (-> (EveryKind/newBuilder)
      (.setName "max")
      (.setDoubleValue Double/MAX_VALUE)
      (.setFloatValue Float/MAX_VALUE)
      (.setInt32Value Integer/MAX_VALUE)
      (.setInt64Value Long/MAX_VALUE)
      (.setUint32Value (int max-uint32))
      (.setUint64Value (long max-uint64))
      (.setSint32Value Integer/MAX_VALUE)
      (.setSint64Value Long/MAX_VALUE)
      (.setFixed32Value (int max-uint32))
      (.setFixed64Value (long max-uint64))
      (.setSfixed32Value Integer/MAX_VALUE)
      (.setSfixed64Value Long/MAX_VALUE)
      (.setOptionalNumber Integer/MAX_VALUE)
      (.addAllNumbers [Long/MAX_VALUE (inc (bit-shift-left 1 53))])
      (.putPartsByNumber Long/MAX_VALUE (part "max" Integer/MAX_VALUE))
      (.setChosenNumber Long/MAX_VALUE)
      (.setTimestamp (timestamp "9999-12-31T23:59:59.999999999Z"))
      (.setDuration (Durations/fromSeconds 315576000000))
      (.setWrappedNumber (Int64Value/of Long/MAX_VALUE))
      .build))

(defn- minimal ^EveryKind []
  (-> (EveryKind/newBuilder)
      (.setName "min")
      (.setDoubleValue Double/MIN_VALUE)
      (.setFloatValue (- Float/MAX_VALUE))
      (.setInt32Value Integer/MIN_VALUE)
      (.setInt64Value Long/MIN_VALUE)
      (.setSint32Value Integer/MIN_VALUE)
      (.setSint64Value Long/MIN_VALUE)
      (.setSfixed32Value Integer/MIN_VALUE)
      (.setSfixed64Value Long/MIN_VALUE)
      (.setOptionalNumber Integer/MIN_VALUE)
      (.addAllNumbers [Long/MIN_VALUE (- (inc (bit-shift-left 1 53)))])
      (.putPartsByNumber Long/MIN_VALUE (part "min" Integer/MIN_VALUE))
      (.setChosenNumber Long/MIN_VALUE)
      (.setTimestamp (timestamp "0001-01-01T00:00:00Z"))
      (.setDuration (Durations/fromSeconds -315576000000))
      (.setWrappedNumber (Int64Value/of Long/MIN_VALUE))
      .build))

(defn- nothing
  "Has what is there and empty."
  ^EveryKind []
  (-> (EveryKind/newBuilder)
      (.setName "empty")
      (.setOptionalNumber 0)
      (.setOptionalText "")
      (.setPart (Part/getDefaultInstance))
      (.addParts (Part/getDefaultInstance))
      (.addTexts "")
      (.setChosenText "")
      (.setWrappedNumber (Int64Value/of 0))
      (.setObject (Struct/getDefaultInstance))
      .build))

(defn- unicode ^EveryKind []
  (-> (EveryKind/newBuilder)
      (.setName "unicode")
      (.setStringValue "Grüße, 世界, עולם, 🌍, e\u0301, \"\\/\n")
      (.addAllTexts ["🇪🇺" "\ufeff" "\u2028" "👩\u200d👩\u200d👧"])
      (.putAllTextsByText {"ключ" "значение" "鍵" "値"})
      (.setChosenText "𝔘𝔫𝔦𝔠𝔬𝔡𝔢")
      (.setBytesValue (octets 0xc3 0xbf 0xf0 0x9f 0x8c 0x8d))
      .build))

(defn all
  "The values in the order in which they are published."
  []
  [(full) (maximal) (minimal) (nothing) (unicode)])
