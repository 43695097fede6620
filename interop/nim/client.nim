## The client in Nim: Connect with JSON, by the standard library alone. README.md in the
## directory above says what it does.

import std/[algorithm, asyncdispatch, httpclient, json, os, sequtils, strformat, strutils]
import connect, values

const
  patience = 10_000 # Milliseconds that a step waits.
  tailed = "tailed" # The id of the event that is published while the topic is read.

let
  url = getEnv("TIDINGS_URL")
  topic = getEnv("TIDINGS_TOPIC")

proc require(condition: bool, problem: string) =
  if not condition:
    raise newException(ValueError, problem)

proc expect(call: Future[void], code: string, reason = "", field = "") {.async.} =
  ## Wants a call to fail with a code and, where they are not empty, with a reason and
  ## with a field that violates a rule.
  try:
    await call
  except Failure as failure:
    require failure.code == code and reason in ["", failure.reason] and
      (field == "" or field in failure.fields), &"expected {code}, got {failure.msg}"
    return
  require false, &"expected {code}, got ok"

proc untilEnough(call: Future[void]) {.async.} =
  ## Does a call that this side ends.
  try:
    await call
  except Failure as failure:
    if failure.code != "canceled":
      raise

proc requireHolds(recorded: JsonNode, id: string, value: JsonNode) =
  let event = recorded{"event"}
  require event{"id"}.getStr == id and event{"data"} == value.packed,
    &"the event {event}, want {id} with {value}"

proc publishAll(events: seq[(string, JsonNode)]): Future[seq[JsonNode]] {.async.} =
  let request = %*{"topic": topic, "events": []}
  for (id, value) in events:
    request["events"].add %*{"id": id, "source": "/interop", "data": value.packed}
  let response = await call(url, "PublisherService/Publish", request)
  return response{"receipts"}.getElems

proc createTopic() {.async.} =
  let request = %*{"topic": {"name": topic, "settings": {"description": "interop"}}}
  proc create() {.async.} =
    discard await call(url, "TopicService/CreateTopic", request)
  await create()
  let got = await call(url, "TopicService/GetTopic", %*{"name": topic})
  require got{"topic", "settings", "description"}.getStr == "interop", &"the topic is {got}"
  await expect(create(), "already_exists", "TOPIC_ALREADY_EXISTS")

proc publish() {.async.} =
  let
    events = allValues.mapIt((it["name"].getStr, it))
    first = await publishAll(events)
    again = await publishAll(events)
  require first.len == events.len and again.len == events.len,
    &"{first.len} and {again.len} receipts"
  var last = 0
  for (receipt, repeated) in zip(first, again):
    let sequence = receipt{"sequence"}.getStr.parseInt
    require sequence > last and not receipt{"duplicate"}.getBool,
      &"the receipt {receipt} after {last}"
    require repeated{"duplicate"}.getBool and repeated{"sequence"} == receipt{"sequence"},
      &"the receipt {receipt}, and when repeated {repeated}"
    last = sequence

proc publishInvalid() {.async.} =
  proc publish() {.async.} =
    let value = full.copy
    value["email"] = %"not-an-address"
    discard await publishAll(@{"refused": value})
  await expect(publish(), "invalid_argument", "EVENT_INVALID", "events[0].data.email")

proc readTopic() {.async.} =
  var events: seq[JsonNode]
  proc take(frame: JsonNode): Future[bool] {.async.} =
    events.add frame{"events", "events"}.getElems
    return true
  await stream(url, "ReaderService/Read", %*{
    "topic": topic,
    "start": {"boundary": "START_BOUNDARY_EARLIEST"},
    "stop": {"caughtUp": true}
  }, take)
  require events.len == allValues.len, &"{events.len} events"
  for (event, value) in zip(events, allValues):
    requireHolds(event, value["name"].getStr, value)

proc readNew(take: Take, deadlineMs = 0): Future[void] =
  ## Reads what is stored from now on, without a bound.
  let request = %*{"topic": topic, "start": {"boundary": "START_BOUNDARY_NEW"}}
  stream(url, "ReaderService/Read", request, take, deadlineMs)

proc publishOne(id: string, data: JsonNode) {.async.} =
  ## Publishes one event, with nothing but the standard library.
  # docs:begin
  let client = newAsyncHttpClient(headers = newHttpHeaders({"Content-Type": "application/json"}))
  defer: client.close()
  let request = %*{
    "topic": topic,
    "events": [{"id": id, "source": "/interop", "data": data}]
  }
  let response = await client.post(url & "/tidings.v1.PublisherService/Publish", $request)
  if response.code != Http200:
    raise newException(HttpRequestError, await response.body)
  # docs:end

proc tail() {.async.} =
  var events: seq[JsonNode]
  proc take(frame: JsonNode): Future[bool] {.async.} =
    if frame.hasKey("caughtUp"):
      await publishOne(tailed, full.packed)
    events = frame{"events", "events"}.getElems
    return events.len == 0
  await untilEnough(readNew(take))
  require events.len == 1, &"{events.len} events"
  requireHolds(events[0], tailed, full)

proc consume() {.async.} =
  discard await call(url, "SubscriptionService/CreateSubscription", %*{
    "subscription": {
      "name": topic,
      "topic": topic,
      "retryPolicy": {"minBackoff": "0.1s", "maxBackoff": "1s"}
    },
    "start": {"boundary": "START_BOUNDARY_EARLIEST"}
  })
  let want = sorted(tailed & allValues.mapIt(it["name"].getStr))
  var
    acknowledged: seq[string]
    attempts: seq[int] # Of full.
    applied = 0

  proc decide(delivery: JsonNode): JsonNode =
    let id = delivery{"recorded", "event", "id"}.getStr
    if id == "full":
      attempts.add delivery{"attempt"}.getInt
    result = %*{"deliveryToken": delivery{"deliveryToken"}}
    if id == "full" and attempts.len == 1:
      result["nack"] = %*{"kind": "NACK_KIND_RETRY"}
    else:
      result["ack"] = newJObject()
      acknowledged.add id

  proc take(frame: JsonNode): Future[bool] {.async.} =
    let settlements = frame{"deliveries", "deliveries"}.getElems.map(decide)
    if settlements.len > 0:
      let response = await call(url, "ConsumerService/Settle", %*{
        "subscription": topic,
        "settlements": settlements
      })
      for settled in response{"results"}.getElems:
        require settled{"status"}.getStr == "SETTLEMENT_STATUS_APPLIED",
          &"a settlement is {settled}"
        inc applied
    # One settlement more than events: full is settled twice.
    return applied < want.len + 1

  await untilEnough(stream(url, "ConsumerService/Receive", %*{"subscription": topic}, take))
  require attempts == @[1, 2], &"the attempts of full are {attempts}"
  require sorted(acknowledged) == want, &"acknowledged {acknowledged}"

proc exceedDeadline() {.async.} =
  proc take(frame: JsonNode): Future[bool] {.async.} =
    return true
  await expect(readNew(take, 300), "deadline_exceeded")

proc cancel() {.async.} =
  proc take(frame: JsonNode): Future[bool] {.async.} =
    return not frame.hasKey("caughtUp")
  await expect(readNew(take), "canceled")

proc perform(step: proc (): Future[void]) {.async.} =
  let ended = step()
  require await ended.withTimeout(patience), "no end within ten seconds"
  await ended

proc main() =
  doAssert getEnv("TIDINGS_TRANSPORT") == "connect-json"
  for (name, step) in {
    "topic": createTopic, "publish": publish, "refused": publishInvalid, "read": readTopic,
    "tail": tail, "consume": consume, "deadline": exceedDeadline, "cancel": cancel
  }:
    try:
      waitFor perform(step)
      echo name, " ok"
    except CatchableError as error:
      # What follows the first line says where it happened.
      echo name, " fail: ", error.msg.splitLines[0]
      programResult = 1
  for name in ["golden", "golden-json"]:
    echo name, " n/a: Debian has no library of protobuf for Nim"

main()
