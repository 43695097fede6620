# The client in R. Messages are lists, as jsonlite reads and writes them; RProtoBuf
# turns their JSON into protobuf's binary form. README.md in the directory above says
# what it does.

suppressPackageStartupMessages({
  library(curl)
  library(jsonlite)
  library(RProtoBuf)
})

source("values.R", encoding = "UTF-8")

url <- Sys.getenv("TIDINGS_URL")
topic <- Sys.getenv("TIDINGS_TOPIC")
golden <- Sys.getenv("TIDINGS_GOLDEN")
out <- Sys.getenv("TIDINGS_OUT")
binary <- Sys.getenv("TIDINGS_TRANSPORT") == "connect"

protos <- file.path("build", "protos")
readProtoFiles2(
  c(
    "google/protobuf/wrappers.proto",
    list.files(protos, "^(every_kind|.*_service|error|options)[.]proto$", recursive = TRUE)
  ),
  protoPath = protos
)

earliest <- list(boundary = "START_BOUNDARY_EARLIEST")
from_now <- list(topic = topic, start = list(boundary = "START_BOUNDARY_NEW"))

fail <- function(...) stop(..., call. = FALSE)
as_json <- function(message) {
  as.character(jsonlite::toJSON(message, auto_unbox = TRUE, null = "null", digits = NA))
}
from_json <- function(text) fromJSON(text, simplifyVector = FALSE)

encode <- function(type, message) {
  json <- as_json(message)
  if (binary) serialize(readJSON(P(type), json), NULL) else charToRaw(enc2utf8(json))
}

decode <- function(type, data) {
  if (binary) {
    return(from_json(read(P(type), data)$toJSON()))
  }
  from_json(utf8_text(data))
}

utf8_text <- function(data) {
  text <- rawToChar(data)
  Encoding(text) <- "UTF-8"
  text
}

# A request over HTTP, not sent yet. Nothing waits longer than ten seconds.
post <- function(content_type, body, ...) {
  handle <- new_handle(post = TRUE, postfieldsize = length(body), postfields = body, timeout = 10)
  handle_setheaders(handle, "Content-Type" = content_type, ...)
}

# The response of a unary RPC, SERVICE/METHOD, or a list with the error as Connect has
# it in JSON.
try_call <- function(rpc, request) {
  type <- paste0("tidings.v1.", sub(".*/", "", rpc))
  content_type <- if (binary) "application/proto" else "application/json"
  handle <- post(content_type, encode(paste0(type, "Request"), request))
  response <- curl_fetch_memory(paste0(url, "/tidings.v1.", rpc), handle)
  if (response$status_code != 200) {
    return(list(error = from_json(utf8_text(response$content))))
  }
  list(message = decode(paste0(type, "Response"), response$content))
}

call <- function(rpc, request) {
  result <- try_call(rpc, request)
  if (!is.null(result$error)) fail(rpc, ": ", as_json(result$error))
  result$message
}

# Calls an RPC that streams responses. take returns TRUE where it has had enough; that
# cancels the call by closing its connection. Returns how the call ended: "cancelled",
# "ok" or a list, the error of the server.
stream <- function(rpc, request, take, ...) {
  type <- paste0("tidings.v1.", sub(".*/", "", rpc))
  content_type <- if (binary) "application/connect+proto" else "application/connect+json"
  body <- encode(paste0(type, "Request"), request)
  envelope <- c(as.raw(0), writeBin(length(body), raw(), endian = "big"), body)
  connection <- curl(paste0(url, "/tidings.v1.", rpc), handle = post(content_type, envelope, ...))
  open(connection, "rbf")
  on.exit(close(connection))
  repeat {
    # A message has a byte of flags and four with its length before it. The flag 2 is on
    # the last, which is always JSON.
    head <- readBin(connection, raw(), 5)
    if (length(head) < 5) fail(rpc, ": the stream ended without its last message")
    data <- readBin(connection, raw(), readBin(head[2:5], integer(), endian = "big"))
    if (head[1] == 2) {
      end <- from_json(utf8_text(data))
      return(if (is.null(end$error)) "ok" else end$error)
    }
    if (isTRUE(take(decode(paste0(type, "Response"), data)))) {
      return("cancelled")
    }
  }
}

event <- function(id, value) {
  data <- c(list("@type" = "type.googleapis.com/tidings.conformance.v1.EveryKind"), value)
  list(id = id, source = "/interop", data = data)
}

# Wants a call to have been refused with a code and, where they are given, with a
# reason and a field.
expect <- function(error, code, reason = NULL, field = NULL) {
  if (!is.list(error)) fail("expected ", code, ", got ", error)
  details <- setNames(
    lapply(error$details, function(detail) detail$debug),
    vapply(error$details, function(detail) detail$type, "")
  )
  violations <- details[["google.rpc.BadRequest"]]$fieldViolations
  fields <- vapply(violations, function(violation) violation$field, "")
  holds <- identical(error$code, code) &&
    (is.null(reason) || identical(details[["google.rpc.ErrorInfo"]]$reason, reason)) &&
    (is.null(field) || field %in% fields)
  if (!holds) fail("expected ", code, " ", reason, " ", field, ", got ", as_json(error))
}

# Wants an event to have an id and to hold a value.
require_event <- function(got, id, value) {
  if (!identical(got$id, id) || !same(got$data, event(id, value)$data)) {
    fail("instead of ", id, ": ", as_json(got))
  }
}

# docs:begin
publish_one <- function(id, value) {
  data <- c(list("@type" = "type.googleapis.com/tidings.conformance.v1.EveryKind"), value)
  request <- list(topic = topic, events = list(list(id = id, source = "/interop", data = data)))
  handle <- new_handle(postfields = jsonlite::toJSON(request, auto_unbox = TRUE, null = "null"))
  handle_setheaders(handle, "Content-Type" = "application/json")
  response <- curl_fetch_memory(paste0(url, "/tidings.v1.PublisherService/Publish"), handle)
  if (response$status_code != 200) stop(rawToChar(response$content))
}
# docs:end

create_topic <- function() {
  request <- list(topic = list(name = topic, settings = list(description = "interop")))
  call("TopicService/CreateTopic", request)
  got <- call("TopicService/GetTopic", list(name = topic))$topic$settings$description
  if (!identical(got, "interop")) fail("the description is ", got)
  error <- try_call("TopicService/CreateTopic", request)$error
  expect(error, "already_exists", "TOPIC_ALREADY_EXISTS")
}

publish <- function() {
  events <- lapply(values(), function(value) event(value$name, value))
  first <- call("PublisherService/Publish", list(topic = topic, events = events))$receipts
  again <- call("PublisherService/Publish", list(topic = topic, events = events))$receipts
  duplicate <- function(receipt) isTRUE(receipt$duplicate)
  # Texts, because they may have 64 bits; these are far below 2^53.
  sequences <- vapply(first, function(receipt) receipt$sequence, "")
  repeated <- vapply(again, function(receipt) receipt$sequence, "")
  if (length(sequences) != length(events)) fail(length(sequences), " receipts")
  if (any(diff(as.numeric(sequences)) <= 0)) fail("the sequences ", toString(sequences))
  if (!identical(repeated, sequences)) fail("when repeated the sequences ", toString(repeated))
  if (any(vapply(first, duplicate, NA)) || !all(vapply(again, duplicate, NA))) {
    fail("duplicates where none are, or none where they are")
  }
}

publish_invalid <- function() {
  bad <- full()
  bad$email <- "not-an-address"
  request <- list(topic = topic, events = list(event("refused", bad)))
  error <- try_call("PublisherService/Publish", request)$error
  expect(error, "invalid_argument", "EVENT_INVALID", "events[0].data.email")
}

read_all <- function() {
  events <- list()
  request <- list(topic = topic, start = earliest, stop = list(caughtUp = TRUE))
  end <- stream("ReaderService/Read", request, function(frame) {
    events <<- c(events, frame$events$events)
    FALSE
  })
  if (!identical(end, "ok")) fail(as_json(end))
  wanted <- values()
  if (length(events) != length(wanted)) fail(length(events), " events")
  for (i in seq_along(wanted)) require_event(events[[i]]$event, wanted[[i]]$name, wanted[[i]])
}

tail_topic <- function() {
  come <- NULL
  end <- stream("ReaderService/Read", from_now, function(frame) {
    if (!is.null(frame$caughtUp)) publish_one("tailed", full())
    if (!is.null(frame$events)) come <<- frame$events$events[[1]]$event
    !is.null(come)
  })
  if (!identical(end, "cancelled")) fail("the call ended: ", as_json(end))
  require_event(come, "tailed", full())
}

consume <- function() {
  subscription <- list(
    name = topic, topic = topic,
    retryPolicy = list(minBackoff = "0.1s", maxBackoff = "1s")
  )
  request <- list(subscription = subscription, start = earliest)
  call("SubscriptionService/CreateSubscription", request)
  wanted <- c("tailed", vapply(values(), function(value) value$name, ""))
  acknowledged <- character()
  attempts <- integer() # Those of full.
  statuses <- character()
  decide <- function(delivery) {
    id <- delivery$recorded$event$id
    if (id == "full") {
      attempts <<- c(attempts, delivery$attempt)
      if (length(attempts) == 1) {
        return(list(deliveryToken = delivery$deliveryToken, nack = list(kind = "NACK_KIND_RETRY")))
      }
    }
    acknowledged <<- c(acknowledged, id)
    list(deliveryToken = delivery$deliveryToken, ack = object())
  }
  end <- stream("ConsumerService/Receive", list(subscription = topic), function(frame) {
    settlements <- lapply(frame$deliveries$deliveries, decide)
    if (length(settlements) > 0) {
      request <- list(subscription = topic, settlements = settlements)
      results <- call("ConsumerService/Settle", request)$results
      statuses <<- c(statuses, vapply(results, function(result) result$status, ""))
    }
    length(statuses) > length(wanted) # One more than events: full is settled twice.
  })
  if (!identical(end, "cancelled")) fail("the call ended: ", as_json(end))
  if (any(statuses != "SETTLEMENT_STATUS_APPLIED")) fail(toString(statuses))
  if (!identical(attempts, 1:2)) fail("the attempts of full are ", toString(attempts))
  if (!identical(sort(acknowledged), sort(wanted))) fail("acknowledged ", toString(acknowledged))
}

exceed_deadline <- function() {
  end <- stream("ReaderService/Read", from_now, function(frame) FALSE, "Connect-Timeout-Ms" = "300")
  expect(end, "deadline_exceeded")
}

cancel <- function() {
  end <- stream("ReaderService/Read", from_now, function(frame) !is.null(frame$caughtUp))
  if (!identical(end, "cancelled")) fail("the call ended before: ", as_json(end))
}

# Calls take with the name of each vector, LABEL-NAME, its type and its bytes.
each_vector <- function(extension, take) {
  files <- list.files(golden, paste0("[.]", extension, "$"))
  if (length(files) == 0) fail("there are no vectors in ", golden)
  for (file in files) {
    path <- file.path(golden, file)
    name <- sub("[.][a-z]+$", "", file)
    take(name, P(sub("^[^-]*-", "", name)), readBin(path, raw(), file.size(path)))
  }
}

write_file <- function(name, data) writeBin(data, file.path(out, name))

copy_golden <- function() {
  each_vector("binpb", function(name, type, data) {
    write_file(paste0(name, ".binpb"), serialize(read(type, data), NULL))
  })
}

copy_golden_json <- function() {
  each_vector("binpb", function(name, type, data) {
    write_file(paste0(name, ".json"), charToRaw(read(type, data)$toJSON()))
  })
  each_vector("json", function(name, type, data) {
    write_file(paste0(name, ".json.binpb"), serialize(readJSON(type, utf8_text(data)), NULL))
  })
}

steps <- list(
  topic = create_topic, publish = publish, refused = publish_invalid, read = read_all,
  tail = tail_topic, consume = consume, deadline = exceed_deadline, cancel = cancel,
  golden = copy_golden, "golden-json" = copy_golden_json
)
failed <- FALSE
for (name in names(steps)) {
  result <- tryCatch(
    {
      steps[[name]]()
      "ok"
    },
    error = function(error) paste("fail:", gsub("\\s+", " ", conditionMessage(error)))
  )
  failed <- failed || result != "ok"
  writeLines(paste(name, result))
}
quit(status = if (failed) 1 else 0)
