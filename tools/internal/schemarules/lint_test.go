package schemarules

import "testing"

func TestTopicsOfEvents(t *testing.T) {
	testCases(t, []ruleCase{
		{
			name: "by name",
			is: `message ParcelEvent {} //! TIDINGS_EVENT_TOPIC
message Event {} //! TIDINGS_EVENT_TOPIC
message Eventual {}
message Parcel { message LostEvent {} }`,
		},
		{
			name: "by file",
			file: "shop/parcels/v1/parcel_events.proto",
			is: `message ParcelLost { //! TIDINGS_EVENT_TOPIC
  Parcel parcel = 1;
  map<string, Item> items = 2;
  ParcelLost before = 3;
}
message Parcel {}
message Item {}
message ParcelFound { option (tidings.options.v1.event) = {topic: "parcels"}; }`,
		},
		{name: "by the whole name of a file", file: "shop/parcels/v1/event.proto", is: "message A {} //! TIDINGS_EVENT_TOPIC"},
		{name: "by the end of the file's name only", file: "shop/parcels/v1/events_of_old.proto", is: "message A {}"},
		{
			name: "not what RPCs take and give, or other messages hold",
			is: `service S { rpc R(SendEvent) returns (SentEvent); }
message SendEvent { repeated HeldEvent held = 1; }
message SentEvent {}
message HeldEvent {}`,
		},
		{
			name: "not in packages that have nothing to do with Tidings",
			is: `package elsewhere.v1;
message LogEvent {}`,
		},
		{name: "not in the packages of Tidings", file: "tidings/storage/v1/event.proto", is: "message StoredEvent {}"},
		{name: "but below them", file: "tidings/acme/v1/event.proto", is: "message SentEvent {} //! TIDINGS_EVENT_TOPIC"},
		{
			name: "names that are none",
			is: `message A {
  option (tidings.options.v1.event) = {topic: ""}; //! TIDINGS_EVENT_TOPIC
}
message B {
  option (tidings.options.v1.event) = {topic: "Parcels"}; //! TIDINGS_EVENT_TOPIC
}
message C {
  option (tidings.options.v1.event) = {topic: "parcels-"}; //! TIDINGS_EVENT_TOPIC
}
message D {
  option (tidings.options.v1.event).key = "id"; //! TIDINGS_EVENT_TOPIC
  string id = 1;
}`,
		},
	})
}

func TestKeysOfEvents(t *testing.T) {
	const parts = `
message Part {
  string text = 1;
  repeated string list = 2;
  map<string, string> pairs = 3;
  bytes octets = 4;
  double fraction = 5;
  bool flag = 6;
  fixed64 number = 7;
  Kind kind = 8;
  oneof one { string alternative = 9; }
}
enum Kind { KIND_UNSPECIFIED = 0; }
`
	for key, fits := range map[string]bool{
		"": true, "id": true, "part.text": true, "part.flag": true, "part.number": true, "part.kind": true, "part.alternative": true,
		"nothing": false, "part.nothing": false, "part": false, "id.text": false, "part.list": false, "part.pairs": false,
		"part.octets": false, "part.fraction": false, "parts.text": false, "part.": false, ".": false,
	} {
		t.Run(key, func(t *testing.T) {
			mark := "//! TIDINGS_EVENT_KEY"
			if fits {
				mark = ""
			}
			ruleCase{is: `message A {
  option (tidings.options.v1.event) = {
    topic: "a"
    key: "` + key + `" ` + mark + `
  };
  string id = 1;
  Part part = 2;
  repeated Part parts = 3;
}` + parts}.test(t)
		})
	}
}

func TestCommentsOfDeprecations(t *testing.T) {
	testCases(t, []ruleCase{
		{
			name: "comments that say too little",
			is: `message M {
  string a = 1 [deprecated = true]; //! TIDINGS_DEPRECATION_REPLACEMENT
  // Deprecated.
  string b = 2 [deprecated = true]; //! TIDINGS_DEPRECATION_REPLACEMENT
  // Use z.
  string c = 3 [deprecated = true]; //! TIDINGS_DEPRECATION_REPLACEMENT
  // Deprecated: removed in v2.
  string d = 4 [deprecated = true]; //! TIDINGS_DEPRECATION_REPLACEMENT
  // Deprecated. Use ` + "`zed`" + ` instead.
  string e = 5 [deprecated = true]; //! TIDINGS_DEPRECATION_REPLACEMENT
  // Deprecated: use nothing_there, removed in v2.
  string f = 6 [deprecated = true]; //! TIDINGS_DEPRECATION_REPLACEMENT
  // Deprecated: use g, removed in v2.
  string g = 7 [deprecated = true]; //! TIDINGS_DEPRECATION_REPLACEMENT
  // Deprecated: use n.another.
  string h = 8 [deprecated = true]; //! TIDINGS_DEPRECATION_REPLACEMENT
  // Deprecated. Replaced by NobodyKnows.
  string i = 9 [deprecated = true]; //! TIDINGS_DEPRECATION_REPLACEMENT
  N n = 25;
  string z = 26;
}
message N { string other = 1; }`,
		},
		{
			name: "comments that say enough",
			is: `message M {
  // Deprecated: use z, removed in v2.
  string a = 1 [deprecated = true];
  // A name. It was
  // long. Deprecated. Use ` + "`z`" + ` instead. It was so.
  string b = 2 [deprecated = true];
  // Deprecated: use N.other, removed
  // in v2.
  string c = 3 [deprecated = true];
  // DEPRECATED: Promoted to EventOptions in the stable API.
  string d = 4 [deprecated = true];
  // Deprecated: no replacement.
  string e = 5 [deprecated = true];
  // Deprecated in favor of n.other.
  string f = 6 [deprecated = true];
  // This is deprecated: see [N].
  string g = 7 [deprecated = true];
  // Deprecated: no-op.
  string h = 8 [deprecated = true];
  // Deprecated: use the new way of doing it.
  string i = 9 [deprecated = true];
  // Not deprecated.
  string z = 26 [deprecated = false];
  N n = 25;
}
message N { string other = 1; }`,
		},
		{
			name: "everything that can be deprecated",
			is: `package shop.orders.v1;
option deprecated = true; //! TIDINGS_DEPRECATION_REPLACEMENT
message M {
  option deprecated = true; //! TIDINGS_DEPRECATION_REPLACEMENT
}
enum E {
  option deprecated = true; //! TIDINGS_DEPRECATION_REPLACEMENT
  E_UNSPECIFIED = 0 [
    deprecated = true //! TIDINGS_DEPRECATION_REPLACEMENT
  ];
}
service S {
  option deprecated = true; //! TIDINGS_DEPRECATION_REPLACEMENT
  rpc R(M) returns (M) {
    option deprecated = true; //! TIDINGS_DEPRECATION_REPLACEMENT
  }
}
extend google.protobuf.MessageOptions {
  string x = 50001 [
    deprecated = true //! TIDINGS_DEPRECATION_REPLACEMENT
  ];
}`,
		},
		{
			name: "a file says it before its package",
			is: `// Old orders. Deprecated: use tidings.options.v1.EventOptions, removed in v2.
package shop.orders.v1;
option deprecated = true;`,
		},
	})
}

func TestPagination(t *testing.T) {
	testCases(t, []ruleCase{
		{
			name: "types and names",
			is: `service S {
  rpc ListAs(ListAsRequest) returns (ListAsResponse); //! TIDINGS_LIST_PAGINATION
  rpc ListBs(ListBsRequest) returns (ListBsResponse); //! TIDINGS_LIST_PAGINATION
  rpc ListCs(GetCsRequest) returns (ListCsResponse); //! TIDINGS_LIST_PAGINATION
  rpc List(ListCsRequest) returns (stream ListAsResponse); //! TIDINGS_LIST_PAGINATION
  rpc ListDs(ListCsRequest) returns (ListCsResponse);
  rpc ListEs(ListEsRequest) returns (ListEsResponse);
  rpc ListFs(ListFsRequest) returns (ListEsResponse); //! TIDINGS_LIST_PAGINATION
  rpc Listen(GetCsRequest) returns (GetCsRequest);
}
message ListEsRequest { google.protobuf.UInt32Value page_size = 1; bytes page_token = 2; }
message ListEsResponse { repeated string es = 1; bytes next_page_token = 2; }
message ListFsRequest { google.protobuf.Timestamp page_size = 1; bytes page_token = 2; }
message ListAsRequest { fixed32 page_size = 1; string page_token = 2; }
message ListAsResponse { repeated string as = 1; int32 next_page_token = 2; }
message ListBsRequest { int32 page_size = 1; repeated string page_token = 2; }
message ListBsResponse { map<string, string> bs = 1; string next_page_token = 2; }
message GetCsRequest { int32 page_size = 1; string page_token = 2; }
message ListCsRequest { uint32 page_size = 1; string page_token = 2; }
message ListCsResponse { repeated string cs = 1; string next_page_token = 2; }`,
		},
	})
}

func TestErrorsOfRPCs(t *testing.T) {
	const messages = "message R {}\n"
	testCases(t, []ruleCase{
		{
			name: "comments that say too little",
			file: "tidings/v1/parcel_service.proto",
			is: messages + `service S {
  rpc A(R) returns (R); //! TIDINGS_RPC_ERRORS
  // B does something. May be retried.
  rpc B(R) returns (R); //! TIDINGS_RPC_ERRORS
  // Errors: several. REQUEST_INVALID is one.
  rpc C(R) returns (R); //! TIDINGS_RPC_ERRORS
  // Errors: REQUEST_INVALID, REQUEST_INVALLID.
  rpc D(R) returns (R); //! TIDINGS_RPC_ERRORS
  // Errors: those of Nobody.
  rpc E(R) returns (R); //! TIDINGS_RPC_ERRORS
  // Errors: those of F.
  rpc F(R) returns (R); //! TIDINGS_RPC_ERRORS
  // Errors: ALREADY_APPLIED.
  rpc G(R) returns (R); //! TIDINGS_RPC_ERRORS
  // Errors: REQUEST_INVALID. It ends with SERVER_DRYING.
  rpc H(R) returns (R); //! TIDINGS_RPC_ERRORS
  // Errors: REQUEST_INVALID; MADE_UP_ONE.
  rpc I(R) returns (R); //! TIDINGS_RPC_ERRORS
  // Errors: none.
  rpc J(R) returns (R); //! TIDINGS_RPC_ERRORS
  // Errors: TOPIC_NOT_FOUND, SCHEMA_INVALID.
  rpc K(R) returns (R); //! TIDINGS_RPC_ERRORS
}`,
		},
		{
			name: "comments that say enough",
			file: "tidings/v1beta1/parcel_service.proto",
			is: messages + `service S {
  // Errors: REQUEST_INVALID; TOPIC_NOT_FOUND, where it is
  // gone. A retry gives ALREADY_APPLIED, DEDUPE_EVENT or SERVER_DRAINING.
  rpc A(R) returns (R);
  // B does it. It has no END_OF_LINE.
  //
  // Errors: those of A, with the metadata of each.
  rpc B(R) returns (R);
  // Errors: none of its own. May be retried.
  rpc C(R) returns (R);
  // Errors: PARCEL_LOST.
  rpc D(R) returns (R);
}
enum ErrorReason {
  ERROR_REASON_UNSPECIFIED = 0;
  ERROR_REASON_PARCEL_LOST = 1 [(tidings.v1.error) = {code: STATUS_CODE_INTERNAL retry: RETRY_NEVER}];
}`,
		},
		{name: "what the server's replicas say to each other", file: "tidings/replica/v1/s.proto", is: messages + "service S { rpc A(R) returns (R); }"},
		{name: "what others say", is: messages + "service S { rpc A(R) returns (R); }"},
	})
}

func TestOptionsOfErrorReasons(t *testing.T) {
	testCases(t, []ruleCase{{
		file: "tidings/v1/error.proto",
		is: `extend google.protobuf.EnumValueOptions { ErrorReasonOptions error = 73101; }
message ErrorReasonOptions { StatusCode code = 1; Retry retry = 2; bool conditional = 3; }
enum StatusCode { STATUS_CODE_UNSPECIFIED = 0; STATUS_CODE_INTERNAL = 13; }
enum Retry { RETRY_UNSPECIFIED = 0; RETRY_NEVER = 1; }
enum ErrorReason {
  ERROR_REASON_UNSPECIFIED = 0;
  ERROR_REASON_A = 1; //! TIDINGS_ERROR_REASON_OPTION
  ERROR_REASON_B = 2 [(error) = {code: STATUS_CODE_INTERNAL}]; //! TIDINGS_ERROR_REASON_OPTION
  ERROR_REASON_C = 3 [(error).retry = RETRY_NEVER]; //! TIDINGS_ERROR_REASON_OPTION
  ERROR_REASON_D = 4 [(error) = {code: STATUS_CODE_INTERNAL retry: RETRY_NEVER}];
}`,
	}})
}
