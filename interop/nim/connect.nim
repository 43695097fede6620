## The Connect protocol over std/httpclient, with messages in JSON.

import std/[asyncdispatch, asyncstreams, httpclient, json, sequtils, strutils]

type
  Failure* = object of CatchableError
    ## How a call ended that didn't end well.
    code*: string ## That of Connect, `not_found`.
    reason*: string ## Of google.rpc.ErrorInfo.
    fields*: seq[string] ## Of google.rpc.BadRequest.

  Take* = proc (message: JsonNode): Future[bool]
    ## Takes a message of a stream, and returns whether the call goes on.

proc newFailure(code, message: string): ref Failure =
  result = newException(Failure, code & ": " & message)
  result.code = code

proc failureOf(error: JsonNode): ref Failure =
  ## Takes an error of Connect apart. The details are those that are meant for people:
  ## the others are binary.
  result = newFailure(error{"code"}.getStr, error{"message"}.getStr)
  for detail in error{"details"}.getElems:
    case detail{"type"}.getStr
    of "google.rpc.ErrorInfo":
      result.reason = detail{"debug", "reason"}.getStr
    of "google.rpc.BadRequest":
      result.fields.add detail{"debug", "fieldViolations"}.getElems.mapIt(it{"field"}.getStr)
    else:
      discard
  result.msg.add " " & result.reason & " " & result.fields.join(" ")

proc newClient(contentType: string): AsyncHttpClient =
  newAsyncHttpClient(headers = newHttpHeaders({
    "Content-Type": contentType,
    "Connect-Protocol-Version": "1"
  }))

proc call*(url, procedure: string, request: JsonNode): Future[JsonNode] {.async.} =
  ## Calls a method with one response, `TopicService/GetTopic`.
  let client = newClient("application/json")
  defer: client.close()
  let response = await client.post(url & "/tidings.v1." & procedure, $request)
  let value = parseJson(await response.body)
  if response.code != Http200:
    raise failureOf(value)
  return value

proc stream*(url, procedure: string, request: JsonNode, take: Take,
    deadlineMs = 0) {.async.} =
  ## Calls a method with a stream of responses, and hands them over until it gets false.
  ## Raises a `Failure`, with the code `canceled` where that ended it. 0: no deadline.
  const
    prefix = 5 # Before each message there are flags and a length of four bytes.
    endOfStream = 2
  let client = newClient("application/connect+json")
  defer: client.close()
  if deadlineMs > 0:
    client.headers["Connect-Timeout-Ms"] = $deadlineMs
  let message = $request
  var envelope = "\0"
  for shift in [24, 16, 8, 0]:
    envelope.add char(message.len shr shift and 0xff)
  envelope.add message
  let response = await client.post(url & "/tidings.v1." & procedure, envelope)
  if response.code != Http200:
    raise newFailure("unavailable", response.status)
  var received = ""
  while true:
    let (more, chunk) = await response.bodyStream.read()
    if not more:
      raise newFailure("internal", "the stream has no end")
    received.add chunk
    while received.len >= prefix:
      var size = 0
      for digit in received[1 ..< prefix]:
        size = size shl 8 or ord(digit)
      if received.len < prefix + size:
        break
      let
        flags = ord(received[0])
        value = parseJson(received[prefix ..< prefix + size])
      received = received[prefix + size .. ^1]
      if (flags and endOfStream) != 0:
        if value.hasKey("error"):
          raise failureOf(value["error"])
        return
      if not await take(value):
        raise newFailure("canceled", "ended by this side")
