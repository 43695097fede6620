(** The Connect protocol over libcurl, with messages in JSON. *)

type json = Yojson.Safe.t

(** How a call ended that didn't end well. The code is that of Connect, ["not_found"]. *)
type failure = { code : string; message : string; reason : string; fields : string list }

exception Failed of failure

let failed code message = Failed { code; message; reason = ""; fields = [] }

let () =
  Printexc.register_printer (function
    | Failed f ->
        Some (String.concat " " ((f.code :: f.reason :: f.fields) @ [ f.message ]))
    | _ -> None)

let member name (json : json) : json =
  match json with
  | `Assoc fields -> Option.value (List.assoc_opt name fields) ~default:`Null
  | _ -> `Null

let to_list (json : json) = match json with `List items -> items | _ -> []
let to_text (json : json) = match json with `String s -> s | _ -> ""

(** Takes an error of Connect apart. The details are those that are meant for people:
    the others are binary. *)
let failure_of error =
  let details kind =
    to_list (member "details" error)
    |> List.filter (fun detail -> member "type" detail = `String ("google.rpc." ^ kind))
    |> List.map (member "debug")
  in
  {
    code = to_text (member "code" error);
    message = to_text (member "message" error);
    reason = String.concat "" (List.map (fun d -> to_text (member "reason" d)) (details "ErrorInfo"));
    fields =
      details "BadRequest"
      |> List.concat_map (fun detail -> to_list (member "fieldViolations" detail))
      |> List.map (fun violation -> to_text (member "field" violation));
  }

(** Sends a request and hands what comes to [write], which returns whether to go on.
    Returns the status of HTTP. *)
let post ?(headers = []) ~content_type url body ~write =
  let curl = Curl.init () in
  Fun.protect
    ~finally:(fun () -> Curl.cleanup curl)
    (fun () ->
      Curl.set_url curl url;
      Curl.set_httpheader curl
        (("Content-Type: " ^ content_type) :: "Connect-Protocol-Version: 1" :: headers);
      Curl.set_postfieldsize curl (String.length body);
      Curl.set_postfields curl body;
      Curl.set_writefunction curl (fun data -> if write data then String.length data else 0);
      Curl.set_timeout curl 10;
      Curl.set_nosignal curl true;
      Curl.perform curl;
      Curl.get_responsecode curl)

(** Calls a method with one response, ["TopicService/GetTopic"]. *)
let call url procedure (request : json) =
  let received = Buffer.create 4096 in
  let status =
    post ~content_type:"application/json"
      (url ^ "/tidings.v1." ^ procedure)
      (Yojson.Safe.to_string request)
      ~write:(fun data ->
        Buffer.add_string received data;
        true)
  in
  let response = Yojson.Safe.from_string (Buffer.contents received) in
  if status = 200 then response else raise (Failed (failure_of response))

(* Before each message of a stream there are flags and a length of four bytes. *)
let prefix = 5
let end_of_stream = 2

let envelope message =
  let header = Bytes.make prefix '\000' in
  Bytes.set_int32_be header 1 (Int32.of_int (String.length message));
  Bytes.to_string header ^ message

(** Calls a method with a stream of responses, and hands them to [take] until it
    returns false. Raises [Failed], with the code ["canceled"] where [take] ended it. *)
let stream ?deadline_ms url procedure (request : json) ~take =
  let received = Buffer.create 4096 in
  let ended = ref None in
  let problem = ref None in
  let rec take_messages () =
    let length = Buffer.length received in
    let header = Buffer.sub received 0 (min prefix length) in
    let size = if length < prefix then 0 else Int32.to_int (String.get_int32_be header 1) in
    if length < prefix + size || length < prefix then true
    else begin
      let message = Yojson.Safe.from_string (Buffer.sub received prefix size) in
      let rest = Buffer.sub received (prefix + size) (length - prefix - size) in
      Buffer.clear received;
      Buffer.add_string received rest;
      if Char.code header.[0] land end_of_stream <> 0 then begin
        ended := Some message;
        take_messages ()
      end
      else take message && take_messages ()
    end
  in
  (* An exception may not pass through libcurl. *)
  let write data =
    Buffer.add_string received data;
    try
      let more = take_messages () in
      if not more then problem := Some (failed "canceled" "ended by this side");
      more
    with error ->
      problem := Some error;
      false
  in
  let headers =
    match deadline_ms with
    | Some deadline -> [ Printf.sprintf "Connect-Timeout-Ms: %d" deadline ]
    | None -> []
  in
  let perform () =
    post ~headers ~content_type:"application/connect+json"
      (url ^ "/tidings.v1." ^ procedure)
      (envelope (Yojson.Safe.to_string request))
      ~write
  in
  match perform () with
  | exception Curl.CurlException (_, _, reason) ->
      raise (Option.value !problem ~default:(failed "unavailable" reason))
  | status when status <> 200 -> raise (failed "unavailable" (Printf.sprintf "HTTP %d" status))
  | _ -> (
      match Option.map (member "error") !ended with
      | None -> raise (failed "internal" "the stream has no end")
      | Some `Null -> ()
      | Some error -> raise (Failed (failure_of error)))
