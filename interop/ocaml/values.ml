(** The values that are published, as protobuf's JSON. values/*.json in the directory
    above says what they are. Integers of 64 bits are strings there. *)

type json = Yojson.Safe.t

let int n : json = `Int n
let float n : json = `Float n
let text s : json = `String s
let texts l : json = `List (List.map text l)
let int32_max = int 2147483647
let int32_min = int (-2147483648)
let int64_max = text (Int64.to_string Int64.max_int)
let int64_min = text (Int64.to_string Int64.min_int)

(* The shortest form; it is rounded to the largest float of 32 bits. *)
let float32_max = 3.4028235e38
let part fields : json = `Assoc fields
let label s = ("label", text s)
let count n = ("count", int n)

let full =
  [
    ("name", text "full");
    ("email", text "ada@example.com");
    ("doubleValue", float 1.5);
    ("floatValue", float (-2.25));
    ("int32Value", int (-32));
    ("int64Value", text "-64");
    ("uint32Value", int 32);
    ("uint64Value", text "64");
    ("sint32Value", int (-320));
    ("sint64Value", text "-640");
    ("fixed32Value", int 3200);
    ("fixed64Value", text "6400");
    ("sfixed32Value", int (-3200));
    ("sfixed64Value", text "-6400");
    ("boolValue", `Bool true);
    ("stringValue", text "text");
    ("bytesValue", text "AAEC/w==");
    ("colour", text "COLOUR_GREEN");
    ("optionalNumber", int 7);
    ("optionalText", text "there");
    ( "part",
      part [ label "outer"; count 1; ("parts", `List [ part [ label "inner"; count 2 ] ]) ] );
    ("numbers", texts [ "1"; "-2"; "3" ]);
    ("texts", texts [ "one"; "two" ]);
    ("parts", `List [ part [ label "first" ]; part [ label "second"; count 2 ] ]);
    ("colours", texts [ "COLOUR_RED"; "COLOUR_INFRARED" ]);
    ("textsByText", `Assoc [ ("a", text "1"); ("b", text "2") ]);
    ("partsByNumber", `Assoc [ ("1", part [ label "one" ]); ("-1", part [ label "minus one" ]) ]);
    ("numbersByTruth", `Assoc [ ("true", int 1); ("false", int 0) ]);
    ("chosenPart", part [ label "chosen" ]);
    ("timestamp", text "2026-11-22T12:34:56.789012345Z");
    ("duration", text "-1.500s");
    ("wrappedNumber", text "0");
    ( "object",
      `Assoc
        [
          ("list", `List [ int 1; text "two"; `Null; `Bool true ]);
          ("nested", `Assoc [ ("key", text "value") ]);
        ] );
    ( "any",
      `Assoc
        [
          ("@type", text "type.googleapis.com/tidings.conformance.v1.Part"); label "any"; count 3;
        ] );
  ]

let max =
  [
    ("name", text "max");
    ("doubleValue", float Float.max_float);
    ("floatValue", float float32_max);
    ("int32Value", int32_max);
    ("int64Value", int64_max);
    ("uint32Value", int 4294967295);
    ("uint64Value", text "18446744073709551615");
    ("sint32Value", int32_max);
    ("sint64Value", int64_max);
    ("fixed32Value", int 4294967295);
    ("fixed64Value", text "18446744073709551615");
    ("sfixed32Value", int32_max);
    ("sfixed64Value", int64_max);
    ("optionalNumber", int32_max);
    ("numbers", `List [ int64_max; text "9007199254740993" ]);
    ( "partsByNumber",
      `Assoc [ (Int64.to_string Int64.max_int, part [ label "max"; ("count", int32_max) ]) ] );
    ("chosenNumber", int64_max);
    ("timestamp", text "9999-12-31T23:59:59.999999999Z");
    ("duration", text "315576000000s");
    ("wrappedNumber", int64_max);
  ]

let min =
  [
    ("name", text "min");
    ("doubleValue", float 0x1p-1074);
    ("floatValue", float (-.float32_max));
    ("int32Value", int32_min);
    ("int64Value", int64_min);
    ("sint32Value", int32_min);
    ("sint64Value", int64_min);
    ("sfixed32Value", int32_min);
    ("sfixed64Value", int64_min);
    ("optionalNumber", int32_min);
    ("numbers", `List [ int64_min; text "-9007199254740993" ]);
    ( "partsByNumber",
      `Assoc [ (Int64.to_string Int64.min_int, part [ label "min"; ("count", int32_min) ]) ] );
    ("chosenNumber", int64_min);
    ("timestamp", text "0001-01-01T00:00:00Z");
    ("duration", text "-315576000000s");
    ("wrappedNumber", int64_min);
  ]

(** Has what is there and empty. *)
let empty =
  [
    ("name", text "empty");
    ("optionalNumber", int 0);
    ("optionalText", text "");
    ("part", part []);
    ("parts", `List [ part [] ]);
    ("texts", texts [ "" ]);
    ("chosenText", text "");
    ("wrappedNumber", text "0");
    ("object", `Assoc []);
  ]

let unicode =
  [
    ("name", text "unicode");
    ("stringValue", text "Grüße, 世界, עולם, 🌍, e\u{301}, \"\\/\n");
    ("texts", texts [ "🇪🇺"; "\u{feff}"; "\u{2028}"; "👩\u{200d}👩\u{200d}👧" ]);
    ("textsByText", `Assoc [ ("ключ", text "значение"); ("鍵", text "値") ]);
    ("chosenText", text "𝔘𝔫𝔦𝔠𝔬𝔡𝔢");
    ("bytesValue", text "w7/wn4yN");
  ]

(** A value as the event's [data]: a google.protobuf.Any. *)
let any fields : json =
  `Assoc (("@type", text "type.googleapis.com/tidings.conformance.v1.EveryKind") :: fields)

(** All values with their names, in the order in which they are published. *)
let all =
  [ ("full", full); ("max", max); ("min", min); ("empty", empty); ("unicode", unicode) ]
  |> List.map (fun (name, fields) -> (name, any fields))
