#!/usr/bin/env bash
# The client in shell: Connect with JSON, by curl and jq. README.md in the directory
# above says what it does.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")"

topic=$TIDINGS_TOPIC
from_now="{\"topic\": \"$topic\", \"start\": {\"boundary\": \"START_BOUNDARY_NEW\"}}"
# Seconds that a step waits for the server.
patience=10
# Whether a delivery is answered with a nack, in jq.
retried='(.recorded.event.id == "full" and .attempt == 1)'

main() {
	local step function reason status failed=0
	while read -r step function; do
		# Not in a condition: in one, the shell ignores errors within the function.
		set +e
		reason=$(
			set -e
			"$function" 2>&1
		)
		status=$?
		set -e
		if ((status == 0)); then
			echo "$step ok"
		else
			echo "$step fail: ${reason//$'\n'/ }"
			failed=1
		fi
	done <<-END
		topic create_topic
		publish publish
		refused publish_invalid
		read read_events
		tail tail_events
		consume consume
		deadline exceed_deadline
		cancel cancel_read
		golden copy_golden
		golden-json copy_golden_json
	END
	return "$failed"
}

create_topic() {
	local request error
	request=$(jq -n --arg topic "$topic" '{topic: {name: $topic, settings: {description: "interop"}}}')
	call TopicService/CreateTopic "$request"
	expect description interop "$(call TopicService/GetTopic "{\"name\": \"$topic\"}" | jq -r .topic.settings.description)"
	error=$(refusal TopicService/CreateTopic "$request")
	expect code already_exists "$(jq -r .code <<<"$error")"
	expect reason TOPIC_ALREADY_EXISTS "$(reason <<<"$error")"
}

publish() {
	local request first again
	request=$(values 'publication(values[] | event(.name))')
	first=$(call PublisherService/Publish "$request")
	again=$(call PublisherService/Publish "$request")
	jq -n -e --argjson first "$first" --argjson again "$again" '
		def sequences: [.receipts[].sequence | tonumber];
		($first | sequences) as $sequences
		| ($sequences | length) == 5 and $sequences == ($sequences | unique)
		and $sequences == ($again | sequences)
		and ([$first.receipts[].duplicate] | any | not)
		and ([$again.receipts[].duplicate] | all)
	' || die "receipts: $first, and when repeated: $again"
}

publish_invalid() {
	local error
	error=$(refusal PublisherService/Publish "$(values 'publication(full | .email = "not-an-address" | event("refused"))')")
	expect code invalid_argument "$(jq -r .code <<<"$error")"
	expect reason EVENT_INVALID "$(reason <<<"$error")"
	expect field 'events[0].data.email' "$(jq -r '
		.details[] | select(.type == "google.rpc.BadRequest").debug.fieldViolations[].field
	' <<<"$error")"
}

read_events() {
	local frames=()
	open_stream ReaderService/Read "$(jq -n --arg topic "$topic" '
		{topic: $topic, start: {boundary: "START_BOUNDARY_EARLIEST"}, stop: {caughtUp: true}}')"
	while next_frame; do
		frames+=("$message")
	done
	expect 'end of the stream' null "$(jq -c .error <<<"$end")"
	expect_values '[values[] | event(.name)]' "$(jq -s '[.[].events.events[]?.event]' <<<"${frames[*]}")"
}

tail_events() {
	local event=''
	open_stream ReaderService/Read "$from_now"
	while [[ -z $event ]] && next_frame; do
		if jq -e .caughtUp <<<"$message" >/dev/null; then
			publish_one "$topic" tailed "$(values 'full | data')"
		fi
		event=$(jq '.events.events[0].event // empty' <<<"$message")
	done
	cancel_stream
	expect_values '[full | event("tailed")]' "[$event]"
}

consume() {
	local deliveries=() settlements response results=()
	call SubscriptionService/CreateSubscription "$(jq -n --arg name "$topic" '{
		subscription: {name: $name, topic: $name, retryPolicy: {minBackoff: "0.1s", maxBackoff: "1s"}},
		start: {boundary: "START_BOUNDARY_EARLIEST"}
	}')"
	open_stream ConsumerService/Receive "{\"subscription\": \"$topic\"}"
	# One settlement more than events: full is settled twice.
	while ((${#results[@]} < 7)) && next_frame; do
		mapfile -t -O ${#deliveries[@]} deliveries < <(jq -c '.deliveries.deliveries[]?' <<<"$message")
		settlements=$(jq "[.deliveries.deliveries[]? | {deliveryToken} +
			if $retried then {nack: {kind: \"NACK_KIND_RETRY\"}} else {ack: {}} end]" <<<"$message")
		if [[ $settlements != '[]' ]]; then
			response=$(call ConsumerService/Settle "{\"subscription\": \"$topic\", \"settlements\": $settlements}")
			mapfile -t -O ${#results[@]} results < <(jq -c '.results[].status' <<<"$response")
		fi
	done
	cancel_stream
	expect statuses '["SETTLEMENT_STATUS_APPLIED"]' "$(jq -s -c unique <<<"${results[*]}")"
	expect 'attempts of full' '[1,2]' "$(jq -s -c '[.[] | select(.recorded.event.id == "full").attempt]' <<<"${deliveries[*]}")"
	expect 'acknowledged ids' '["empty","full","max","min","tailed","unicode"]' "$(
		jq -s -c "[.[] | select($retried | not).recorded.event.id] | sort" <<<"${deliveries[*]}"
	)"
}

exceed_deadline() {
	open_stream ReaderService/Read "$from_now" --header 'Connect-Timeout-Ms: 300'
	while next_frame; do :; done
	expect 'end of the stream' deadline_exceeded "$(jq -r .error.code <<<"$end")"
}

cancel_read() {
	local caught_up=false
	open_stream ReaderService/Read "$from_now"
	while [[ $caught_up == false ]] && next_frame; do
		caught_up=$(jq 'has("caughtUp")' <<<"$message")
	done
	expect 'caught up' true "$caught_up"
	cancel_stream
	while next_frame; do :; done
	expect 'end of the stream' '' "$end"
}

copy_golden() {
	each_vector binpb binpb
}

copy_golden_json() {
	each_vector binpb json
	each_vector json json.binpb
}

# Converts the vectors with an extension to files with another. A name is
# LABEL-NAME.EXTENSION, with the full name of the message.
each_vector() {
	local paths=("$TIDINGS_GOLDEN"/*."$1")
	export from=$1 to=$2
	# shellcheck disable=SC2016 # Each of these shells expands it.
	printf '%s\0' "${paths[@]}" | xargs -0 -n 20 -P "$(nproc)" bash -euc '
		for path; do
			name=${path##*/} name=${name%".$from"}
			../../.cache/bin/buf convert build/schemas.binpb --type "${name#*-}" \
				--from "$path" --to "$TIDINGS_OUT/$name.$to"
		done' convert
}

# Does all that a publisher in shell has to do. Data is JSON with "@type".
publish_one() {
	local topic=$1 id=$2 data=$3
	# docs:begin
	request=$(jq -n --arg topic "$topic" --arg id "$id" --argjson data "$data" '{
		topic: $topic,
		events: [{id: $id, source: "/interop", data: $data}]
	}')
	curl --silent --show-error --fail-with-body --max-time 10 \
		--json "$request" "$TIDINGS_URL/tidings.v1.PublisherService/Publish"
	# docs:end
}

# Makes a unary call and prints the response, or fails with the error.
call() {
	local response
	response=$(curl --silent --fail-with-body --max-time "$patience" --json "$2" "$TIDINGS_URL/tidings.v1.$1") ||
		die "${response:-no response to $1}"
	echo "$response"
}

# Makes a unary call that has to fail, and prints the error.
refusal() {
	local error
	if error=$(call "$@" 2>&1); then
		die "$1: expected an error, got $error"
	fi
	echo "$error"
}

# Prints the reason of an error. "debug" is a detail in JSON; its "value" is protobuf.
reason() {
	jq -r '.details[] | select(.type == "google.rpc.ErrorInfo").debug.reason'
}

# Calls a method with a stream of responses, for next_frame and cancel_stream.
# Further arguments are curl's.
open_stream() {
	exec {stream}< <(
		exec curl --silent --no-buffer --max-time "$patience" "${@:3}" \
			--header 'Content-Type: application/connect+json' --header 'Connect-Protocol-Version: 1' \
			--data-binary @<(envelope "$2") "$TIDINGS_URL/tidings.v1.$1"
	)
	call_pid=$!
	end=''
}

# Reads a message into $message. Fails at the end, with the message that ended the
# stream in $end; that is empty if the stream broke off.
next_frame() {
	local header
	# A byte of flags, four of the length.
	header=$(head -c 5 <&"$stream" | basenc --base16)
	if [[ -z $header ]]; then
		return 1
	fi
	message=$(head -c $((16#${header:2})) <&"$stream")
	if [[ ${header:0:2} != 00 ]]; then
		end=$message
		return 1
	fi
}

# Ends the call, and wants it to end by that.
cancel_stream() {
	local status=0
	kill "$call_pid"
	wait "$call_pid" || status=$?
	expect 'status of the call' "$((128 + $(kill -l TERM)))" "$status"
}

# Prints a message with its prefix of five bytes.
envelope() {
	printf '00%08X' "$(printf %s "$1" | wc -c)" | basenc --base16 --decode
	printf %s "$1"
}

# Prints what a jq program makes of values.jq.
values() {
	jq -L . -n --arg topic "$topic" "include \"values\"; def publication(events): {topic: \$topic, events: [events]}; $1"
}

# Wants events to be those that a jq program makes of values.jq, but for what the
# server adds.
expect_values() {
	jq -L . -e "include \"values\"; map({id, source, data}) == ($1)" <<<"$2" >/dev/null || die "got $2, want $1"
}

# Compares the third argument with the second; the first says what it is about.
expect() {
	[[ $3 == "$2" ]] || die "$1: got $3, want $2"
}

die() {
	echo "$*" >&2
	exit 1
}

main
