(* The client in OCaml: Connect with JSON, by ocurl and Yojson. README.md in the
   directory above says what it does. *)

open Connect

let variable name =
  match Sys.getenv_opt name with Some value -> value | None -> failwith (name ^ " is not set")

let url = variable "TIDINGS_URL"
let topic = variable "TIDINGS_TOPIC"

(* The id of the event that is published while the topic is read. *)
let tailed = "tailed"

let fail format = Printf.ksprintf failwith format

let equal (a : json) (b : json) = Yojson.Safe.(equal (sort a) (sort b))

(** Wants a call to fail with a code and, where they are given, with a reason and with a
    field that violates a rule. *)
let expect ?reason ?field code perform =
  match perform () with
  | () -> fail "expected %s, got ok" code
  | exception (Failed failure as error) ->
      let fits =
        failure.code = code
        && Option.fold reason ~none:true ~some:(( = ) failure.reason)
        && Option.fold field ~none:true ~some:(fun field -> List.mem field failure.fields)
      in
      if not fits then fail "expected %s, got %s" code (Printexc.to_string error)

let event id data : json =
  `Assoc [ ("id", `String id); ("source", `String "/interop"); ("data", data) ]

let publication events : json = `Assoc [ ("topic", `String topic); ("events", `List events) ]

(** Wants an event to have an id and to hold a value. *)
let require_holds recorded (id, value) =
  let event = member "event" recorded in
  if member "id" event <> `String id || not (equal (member "data" event) value) then
    fail "the event %s, want %s" (Yojson.Safe.to_string event) id

let create_topic () =
  let request : json =
    `Assoc
      [ ("topic", `Assoc [ ("name", `String topic); ("settings", `Assoc [ ("description", `String "interop") ]) ]) ]
  in
  let create () = ignore (call url "TopicService/CreateTopic" request) in
  create ();
  let response = call url "TopicService/GetTopic" (`Assoc [ ("name", `String topic) ]) in
  let description = to_text (member "description" (member "settings" (member "topic" response))) in
  if description <> "interop" then fail "the description is %S" description;
  expect "already_exists" ~reason:"TOPIC_ALREADY_EXISTS" create

let publish () =
  let request = publication (List.map (fun (name, value) -> event name value) Values.all) in
  let publish () = to_list (member "receipts" (call url "PublisherService/Publish" request)) in
  let first = publish () in
  let again = publish () in
  let sequences = List.map (fun receipt -> Int64.of_string (to_text (member "sequence" receipt))) in
  let duplicates receipts = List.filter (fun r -> member "duplicate" r = `Bool true) receipts in
  let count = List.length Values.all in
  let increasing = List.sort_uniq Int64.compare (sequences first) = sequences first in
  if List.length first <> count || not increasing || sequences first <> sequences again then
    fail "the receipts %s, and when repeated %s"
      (Yojson.Safe.to_string (`List first))
      (Yojson.Safe.to_string (`List again));
  if duplicates first <> [] || List.length (duplicates again) <> count then
    fail "not only the second receipts are duplicates"

let publish_invalid () =
  let fields = ("email", `String "not-an-address") :: List.remove_assoc "email" Values.full in
  expect "invalid_argument" ~reason:"EVENT_INVALID" ~field:"events[0].data.email" (fun () ->
      let request = publication [ event "refused" (Values.any fields) ] in
      ignore (call url "PublisherService/Publish" request))

let read () =
  let events = ref [] in
  let request : json =
    `Assoc
      [
        ("topic", `String topic);
        ("start", `Assoc [ ("boundary", `String "START_BOUNDARY_EARLIEST") ]);
        ("stop", `Assoc [ ("caughtUp", `Bool true) ]);
      ]
  in
  stream url "ReaderService/Read" request ~take:(fun frame ->
      events := !events @ to_list (member "events" (member "events" frame));
      true);
  if List.compare_lengths !events Values.all <> 0 then fail "%d events" (List.length !events);
  List.iter2 require_holds !events Values.all

(** Reads what is stored from now on, without a bound. *)
let read_new ?deadline_ms take =
  let request : json =
    `Assoc
      [
        ("topic", `String topic);
        ("start", `Assoc [ ("boundary", `String "START_BOUNDARY_NEW") ]);
      ]
  in
  stream ?deadline_ms url "ReaderService/Read" request ~take

(** Publishes one event, with nothing but ocurl and Yojson. *)
let publish_one id data =
  (* docs:begin *)
  let event = `Assoc [ ("id", `String id); ("source", `String "/interop"); ("data", data) ] in
  let request = `Assoc [ ("topic", `String topic); ("events", `List [ event ]) ] in
  let curl = Curl.init () in
  Curl.set_url curl (url ^ "/tidings.v1.PublisherService/Publish");
  Curl.set_httpheader curl [ "Content-Type: application/json" ];
  Curl.set_postfields curl (Yojson.Safe.to_string request);
  Curl.set_writefunction curl String.length;
  Curl.set_failonerror curl true;
  Curl.set_timeout curl 10;
  Curl.perform curl;
  Curl.cleanup curl
  (* docs:end *)

let tail () =
  let value = List.hd Values.all |> snd in
  let came = ref [] in
  (try
     read_new (fun frame ->
         if member "caughtUp" frame <> `Null then publish_one tailed value;
         came := to_list (member "events" (member "events" frame));
         !came = [])
   with Failed { code = "canceled"; _ } -> ());
  match !came with
  | [ event ] -> require_holds event (tailed, value)
  | events -> fail "%d events" (List.length events)

let consume () =
  let create : json =
    `Assoc
      [
        ( "subscription",
          `Assoc
            [
              ("name", `String topic);
              ("topic", `String topic);
              ( "retryPolicy",
                `Assoc [ ("minBackoff", `String "0.1s"); ("maxBackoff", `String "1s") ] );
            ] );
        ("start", `Assoc [ ("boundary", `String "START_BOUNDARY_EARLIEST") ]);
      ]
  in
  ignore (call url "SubscriptionService/CreateSubscription" create);
  let want = tailed :: List.map fst Values.all in
  let acknowledged = ref [] and attempts = ref [] and applied = ref 0 in
  let decide delivery =
    let id = to_text (member "id" (member "event" (member "recorded" delivery))) in
    if id = "full" then attempts := !attempts @ [ member "attempt" delivery ];
    let action =
      if id = "full" && List.length !attempts = 1 then
        ("nack", `Assoc [ ("kind", `String "NACK_KIND_RETRY") ])
      else begin
        acknowledged := id :: !acknowledged;
        ("ack", `Assoc [])
      end
    in
    `Assoc [ ("deliveryToken", member "deliveryToken" delivery); action ]
  in
  let settle frame =
    match to_list (member "deliveries" (member "deliveries" frame)) with
    | [] -> true
    | deliveries ->
        let settlements = `List (List.map decide deliveries) in
        let request = `Assoc [ ("subscription", `String topic); ("settlements", settlements) ] in
        let response = call url "ConsumerService/Settle" request in
        let require_applied result =
          let status = to_text (member "status" result) in
          if status <> "SETTLEMENT_STATUS_APPLIED" then fail "a settlement is %s" status;
          incr applied
        in
        List.iter require_applied (to_list (member "results" response));
        (* One settlement more than events: full is settled twice. *)
        !applied < List.length want + 1
  in
  let receive : json = `Assoc [ ("subscription", `String topic) ] in
  (try stream url "ConsumerService/Receive" receive ~take:settle
   with Failed { code = "canceled"; _ } -> ());
  if !attempts <> [ `Int 1; `Int 2 ] then
    fail "the attempts of full are %s" (Yojson.Safe.to_string (`List !attempts));
  let sort = List.sort String.compare in
  if sort !acknowledged <> sort want then
    fail "acknowledged %s" (String.concat ", " !acknowledged)

let exceed_deadline () =
  expect "deadline_exceeded" (fun () -> read_new ~deadline_ms:300 (fun _ -> true))

let cancel () =
  expect "canceled" (fun () -> read_new (fun frame -> member "caughtUp" frame = `Null))

let steps =
  let no_binary = "Debian has no library of protobuf for OCaml" in
  [
    ("topic", Ok create_topic);
    ("publish", Ok publish);
    ("refused", Ok publish_invalid);
    ("read", Ok read);
    ("tail", Ok tail);
    ("consume", Ok consume);
    ("deadline", Ok exceed_deadline);
    ("cancel", Ok cancel);
    ("golden", Error no_binary);
    ("golden-json", Error no_binary);
  ]

(** Does a step, and returns whether it didn't fail. *)
let perform (name, step) =
  match step with
  | Error reason ->
      Printf.printf "%s n/a: %s\n%!" name reason;
      true
  | Ok step -> (
      match step () with
      | () ->
          Printf.printf "%s ok\n%!" name;
          true
      | exception error ->
          let reason = Printexc.to_string error in
          Printf.printf "%s fail: %s\n%!" name (String.map (function '\n' -> ' ' | c -> c) reason);
          false)

let () =
  let transport = variable "TIDINGS_TRANSPORT" in
  if transport <> "connect-json" then fail "TIDINGS_TRANSPORT is %S" transport;
  Curl.global_init Curl.CURLINIT_GLOBALALL;
  let ok = List.map perform steps in
  Curl.global_cleanup ();
  exit (if List.for_all Fun.id ok then 0 else 1)
