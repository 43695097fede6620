# The values that are published. values/*.json in the directory above says what they
# are.

# An empty object of JSON; list() is an empty array.
object <- function() setNames(list(), character())

# Numbers of 64 bits are texts in JSON, and so are doubles here that have more digits
# than jsonlite writes.
full <- function() {
  list(
    name = "full",
    email = "ada@example.com",
    doubleValue = 1.5,
    floatValue = -2.25,
    int32Value = -32L, int64Value = "-64", uint32Value = 32L, uint64Value = "64",
    sint32Value = -320L, sint64Value = "-640",
    fixed32Value = 3200L, fixed64Value = "6400",
    sfixed32Value = -3200L, sfixed64Value = "-6400",
    boolValue = TRUE,
    stringValue = "text",
    bytesValue = base64_enc(as.raw(c(0, 1, 2, 255))),
    colour = "COLOUR_GREEN",
    optionalNumber = 7L,
    optionalText = "there",
    part = list(label = "outer", count = 1L, parts = list(list(label = "inner", count = 2L))),
    numbers = list("1", "-2", "3"),
    texts = list("one", "two"),
    parts = list(list(label = "first"), list(label = "second", count = 2L)),
    colours = list("COLOUR_RED", "COLOUR_INFRARED"),
    textsByText = list(a = "1", b = "2"),
    partsByNumber = list("1" = list(label = "one"), "-1" = list(label = "minus one")),
    numbersByTruth = list("true" = 1L, "false" = 0L),
    chosenPart = list(label = "chosen"),
    timestamp = "2026-11-22T12:34:56.789012345Z",
    duration = "-1.500s",
    wrappedNumber = "0",
    object = list(list = list(1L, "two", NULL, TRUE), nested = list(key = "value")),
    any = list(
      "@type" = "type.googleapis.com/tidings.conformance.v1.Part", label = "any", count = 3L
    )
  )
}

maximal <- function() {
  int32 <- 2147483647
  uint32 <- 4294967295
  int64 <- "9223372036854775807"
  uint64 <- "18446744073709551615"
  list(
    name = "max",
    doubleValue = "1.7976931348623157e308",
    floatValue = 3.4028235e38,
    int32Value = int32, int64Value = int64, uint32Value = uint32, uint64Value = uint64,
    sint32Value = int32, sint64Value = int64,
    fixed32Value = uint32, fixed64Value = uint64,
    sfixed32Value = int32, sfixed64Value = int64,
    optionalNumber = int32,
    numbers = list(int64, "9007199254740993"),
    partsByNumber = setNames(list(list(label = "max", count = int32)), int64),
    chosenNumber = int64,
    timestamp = "9999-12-31T23:59:59.999999999Z",
    duration = "315576000000s",
    wrappedNumber = int64
  )
}

minimal <- function() {
  int32 <- -2147483648
  int64 <- "-9223372036854775808"
  list(
    name = "min",
    doubleValue = "5e-324",
    floatValue = -3.4028235e38,
    int32Value = int32, int64Value = int64,
    sint32Value = int32, sint64Value = int64,
    sfixed32Value = int32, sfixed64Value = int64,
    optionalNumber = int32,
    numbers = list(int64, "-9007199254740993"),
    partsByNumber = setNames(list(list(label = "min", count = int32)), int64),
    chosenNumber = int64,
    timestamp = "0001-01-01T00:00:00Z",
    duration = "-315576000000s",
    wrappedNumber = int64
  )
}

# What is there and empty.
empty <- function() {
  list(
    name = "empty",
    optionalNumber = 0L, optionalText = "",
    part = object(), parts = list(object()), texts = list(""),
    chosenText = "",
    wrappedNumber = "0",
    object = object()
  )
}

unicode <- function() {
  list(
    name = "unicode",
    stringValue = "Grüße, 世界, עולם, 🌍, e\u0301, \"\\/\n",
    texts = list("🇪🇺", "\ufeff", "\u2028", "👩\u200d👩\u200d👧"),
    textsByText = list("ключ" = "значение", "鍵" = "値"),
    chosenText = "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
    bytesValue = base64_enc(charToRaw("ÿ🌍"))
  )
}

values <- function() list(full(), maximal(), minimal(), empty(), unicode())

# Whether two values of JSON are the same. Doubles that are texts here are numbers in
# what the server sends, and a float of 32 bits may be written with more digits than it
# has.
same <- function(got, want, rounded = identity) {
  if (is.list(want)) {
    if (!is.list(got) || length(got) != length(want)) {
      return(FALSE)
    }
    keys <- if (is.null(names(want))) seq_along(want) else names(want)
    if (is.character(keys) && !setequal(names(got), keys)) {
      return(FALSE)
    }
    of_key <- function(key) {
      same(got[[key]], want[[key]], if (key == "floatValue") as_float else identity)
    }
    return(all(vapply(keys, of_key, NA)))
  }
  if (is.numeric(got) && is.character(want)) {
    return(grepl("[.e]", want) && got == as.numeric(want))
  }
  if (is.numeric(got) && is.numeric(want)) {
    return(rounded(got) == rounded(want))
  }
  identical(got, want)
}

as_float <- function(number) {
  readBin(writeBin(as.numeric(number), raw(), size = 4), numeric(), size = 4)
}
